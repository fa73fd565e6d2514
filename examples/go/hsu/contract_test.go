package hsu

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	av1 "example.com/hsu/gen/av1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// page is docs/launch-contract.md.
type page struct {
	t    *testing.T
	text string
}

func contractPage(t *testing.T) page {
	t.Helper()
	text, err := os.ReadFile("../../../docs/launch-contract.md")
	if err != nil {
		t.Fatal(err)
	}
	return page{t, string(text)}
}

func (p page) section(title string) string {
	p.t.Helper()
	_, after, found := strings.Cut(p.text, "\n## "+title+"\n")
	if !found {
		p.t.Fatalf("the page has no section %q", title)
	}
	text, _, _ := strings.Cut(after, "\n## ")
	return text
}

// code is the first block of a language in a section.
func (p page) code(title, language string) string {
	p.t.Helper()
	_, after, found := strings.Cut(p.section(title), "```"+language+"\n")
	if !found {
		p.t.Fatalf("the section %q has no %s", title, language)
	}
	text, _, _ := strings.Cut(after, "```")
	return text
}

// echo is the service of the page's own .proto.
const echo = `
name: "tiny.proto" package: "tiny.v1" syntax: "proto3"
service {
  name: "Echo"
  method { name: "Say" input_type: ".tiny.v1.Text" output_type: ".tiny.v1.Text" server_streaming: true }
  method { name: "Count" input_type: ".tiny.v1.Text" output_type: ".tiny.v1.Total" client_streaming: true }
}
message_type {
  name: "Text"
  field { name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field {
    name: "mood" number: 2 type: TYPE_ENUM type_name: ".tiny.v1.Mood" label: LABEL_OPTIONAL
    proto3_optional: true oneof_index: 0
  }
  field { name: "replies" number: 3 type: TYPE_MESSAGE type_name: ".tiny.v1.Text" label: LABEL_REPEATED }
  field {
    name: "marks" number: 4 type: TYPE_MESSAGE type_name: ".tiny.v1.Text.MarksEntry" label: LABEL_REPEATED
  }
  nested_type {
    name: "MarksEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_BYTES label: LABEL_OPTIONAL }
  }
  oneof_decl { name: "_mood" }
}
message_type {
  name: "Total"
  field { name: "texts" number: 1 type: TYPE_SINT64 label: LABEL_OPTIONAL }
}
enum_type {
  name: "Mood"
  value { name: "MOOD_UNSPECIFIED" number: 0 }
  value { name: "MOOD_GLAD" number: 1 }
}
`

func TestTheFingerprintsAreThoseOfTheContract(t *testing.T) {
	file := &descriptorpb.FileDescriptorProto{}
	if err := prototext.Unmarshal([]byte(echo), file); err != nil {
		t.Fatal(err)
	}
	made, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	contract := contractPage(t)
	tiny := made.Services().Get(0)
	if want := contract.code("Fingerprint", "text"); strings.Join(fingerprintLines(tiny), "\n")+"\n" != want {
		t.Errorf("lines: %q, want %q", fingerprintLines(tiny), want)
	}
	told := regexp.MustCompile("(?m)^\\| `([\\w.]+)` \\| `([0-9a-f]{64})` \\|$").
		FindAllStringSubmatch(contract.text, -1)
	want := map[string]string{}
	for _, row := range told {
		want[row[1]] = row[2]
	}
	for _, service := range []protoreflect.ServiceDescriptor{
		tiny, av1.File_hsu_a_proto.Services().Get(0),
	} {
		name := string(service.FullName())
		if got := Fingerprint(service); got != want[name] {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
	}
}

func TestTheReasonsAreThoseOfTheContract(t *testing.T) {
	var given []string
	for _, file := range []string{"errors.go", "codec.go", "dispatch.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`"([A-Z]+(?:_[A-Z]+)+|DRAINING)"`).FindAllSubmatch(text, -1) {
			given = append(given, string(found[1]))
		}
	}
	told := regexp.MustCompile("(?m)^\\| `([A-Z_]+)`").
		FindAllStringSubmatch(contractPage(t).section("Errors"), -1)
	var want []string
	for _, row := range told {
		want = append(want, row[1])
	}
	slices.Sort(given)
	slices.Sort(want)
	if !slices.Equal(slices.Compact(given), want) {
		t.Errorf("reasons %v, want %v", slices.Compact(given), want)
	}
}
