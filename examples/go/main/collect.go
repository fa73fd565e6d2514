package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	bv1 "example.com/hsu/gen/bv1"
)

const (
	// maxDocuments of one folder, and maxBytes of one document.
	maxDocuments = 5_000
	maxBytes     = 1 << 20
)

var (
	suffixes = []string{".md", ".markdown", ".rst", ".txt", ".text", ".adoc"}
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

// collect reads the text files below a folder; the id of each is its path. What is left out, and why,
// goes to remarks.
func collect(folder string, remarks io.Writer) ([]*bv1.Document, error) {
	if info, err := os.Stat(folder); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s: not a folder", folder)
	}
	var documents []*bv1.Document
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			fmt.Fprintf(remarks, "left out: %v\n", err)
			return nil
		}
		if entry.IsDir() {
			if path != folder && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(suffixes, strings.ToLower(filepath.Ext(path))) {
			return nil
		}
		if len(documents) == maxDocuments {
			fmt.Fprintf(remarks, "%s: more than %d documents; the rest is left out\n", folder, maxDocuments)
			return fs.SkipAll
		}
		id, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		text, err := read(path)
		if err != nil {
			fmt.Fprintf(remarks, "%s: left out: %v\n", id, err)
			return nil
		}
		title := entry.Name()
		if found := heading.FindStringSubmatch(text); found != nil {
			title = strings.TrimSpace(found[1])
		}
		id = strings.ToValidUTF8(filepath.ToSlash(id), "?")
		documents = append(documents, &bv1.Document{Id: id, Title: title, Text: text})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("%s: no document in it that can be read (%s)",
			folder, strings.Join(suffixes, " "))
	}
	return documents, nil
}

func read(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	if info.Size() > maxBytes {
		return "", fmt.Errorf("longer than %d MiB", maxBytes>>20)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	switch {
	case bytes.IndexByte(data, 0) >= 0:
		return "", errors.New("binary, not text")
	case !utf8.Valid(data):
		return "", errors.New("not text in UTF-8")
	case len(bytes.TrimSpace(data)) == 0:
		return "", errors.New("empty")
	}
	return string(data), nil
}

// digest is what GetStats answers when the index holds just these documents; hsu_b.proto defines it.
func digest(documents []*bv1.Document) string {
	byID := slices.SortedFunc(slices.Values(documents), func(a, b *bv1.Document) int {
		return strings.Compare(a.Id, b.Id)
	})
	whole := sha256.New()
	for _, document := range byID {
		text := sha256.Sum256([]byte(document.Title + "\x00" + document.Text))
		fmt.Fprintf(whole, "%s\n%s\n", document.Id, hex.EncodeToString(text[:]))
	}
	return hex.EncodeToString(whole.Sum(nil))
}
