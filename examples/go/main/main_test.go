package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTextFilesOfAFolderAreCollectedAndTheRestIsSaidToBeLeftOut(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"bread.md":          "# Bread\n\nDough rises.\n",
		"sea/sea.TXT":       "\uFEFFNobody bakes at sea.",
		"empty.txt":         " \n",
		"binary.txt":        "a\x00b",
		"latin.txt":         "\xe4",
		"program.py":        "pass",
		".hidden/x.md":      "hidden",
		"node_modules/x.md": "not ours",
		"long.txt":          strings.Repeat("x", maxBytes+1),
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remarks := &bytes.Buffer{}
	documents, err := collect(folder, remarks)
	if err != nil || len(documents) != 2 {
		t.Fatalf("%v, %v", documents, err)
	}
	if d := documents[0]; d.Id != "bread.md" || d.Title != "Bread" || d.Text != "# Bread\n\nDough rises.\n" {
		t.Errorf("%v", d)
	}
	if d := documents[1]; d.Id != "sea/sea.TXT" || d.Title != "sea.TXT" || d.Text != "Nobody bakes at sea." {
		t.Errorf("%v", d)
	}
	want := "binary.txt: left out: binary, not text\nempty.txt: left out: empty\n" +
		"latin.txt: left out: not text in UTF-8\nlong.txt: left out: longer than 1 MiB\n"
	if remarks.String() != want {
		t.Errorf("%q, want %q", remarks, want)
	}
}

func TestAFolderWithoutDocumentsIsAnError(t *testing.T) {
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for where, problem := range map[string]string{
		empty:              "no document in it that can be read",
		file:               "not a folder",
		empty + "/nowhere": "no such file or directory",
	} {
		if _, err := collect(where, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v", where, err)
		}
	}
}

func TestAWrongCommandLineIsExplained(t *testing.T) {
	for _, arguments := range [][]string{
		{}, {"folder"}, {"-query", "x"}, {"-query", "x", "-hits", "0", "folder"},
		{"-query", "x", "one", "two"}, {"-nonsense", "folder"},
	} {
		if _, err := parse(arguments); err == nil {
			t.Errorf("%q is taken", arguments)
		}
	}
	if o, err := parse([]string{"-query", "x y", "folder"}); err != nil || o.folder != "folder" || o.hits != 5 {
		t.Errorf("%v, %v", o, err)
	}
}
