package hsu

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fingerprint is a SHA-256, in hex, over what makes two ends of an interface understand each other.
// Two of the same interface are equal in every language.
func Fingerprint(service protoreflect.ServiceDescriptor) string {
	text := strings.Join(fingerprintLines(service), "\n") + "\n"
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func fingerprintLines(service protoreflect.ServiceDescriptor) []string {
	var lines []string
	seen := map[protoreflect.FullName]bool{}
	var reach func(message protoreflect.MessageDescriptor)
	reach = func(message protoreflect.MessageDescriptor) {
		if seen[message.FullName()] {
			return
		}
		seen[message.FullName()] = true
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			cardinality, target := "singular", protoreflect.FullName("-")
			if field.Cardinality() == protoreflect.Repeated {
				cardinality = "repeated"
			}
			if enum := field.Enum(); enum != nil {
				target = enum.FullName()
			}
			if inner := field.Message(); inner != nil {
				target = inner.FullName()
				reach(inner)
			}
			lines = append(lines, fmt.Sprintf("F %s %d %s %s %s",
				message.FullName(), field.Number(), cardinality, field.Kind(), target))
		}
	}
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		lines = append(lines, fmt.Sprintf("M %s %s%s %s %s", method.Name(),
			kind(method.IsStreamingClient()), kind(method.IsStreamingServer()),
			method.Input().FullName(), method.Output().FullName()))
		reach(method.Input())
		reach(method.Output())
	}
	slices.Sort(lines)
	return lines
}

func kind(isStream bool) string {
	if isStream {
		return "s"
	}
	return "u"
}
