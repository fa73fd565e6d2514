package main

import (
	"context"
	"errors"
	"strings"
	"unicode"
)

// Short forms after which a sentence goes on; unless a capital follows; when a digit follows.
var (
	goesOn = set("al approx capt cf col dr e.g eq fig figs gen hon i.e lt mr mrs ms prof rev resp " +
		"sgt st u.k u.s viz vs")
	mayEnd        = set("a.m co corp dept ed eds est etc inc jr ltd p.m sr")
	beforeNumbers = set("art ch no nos p pp sec ver vol vols")
)

// Full stops, and what may stand behind them; those of Chinese and Japanese need no space after them.
const (
	stops       = ".!?…"
	closers     = "*_\"'”’»)]"
	wideStops   = "。！？"
	wideClosers = "”’」』）"
)

var errTooMany = errors.New("a text has more sentences than are wanted")

// A sentence is one of a text, and what of it counts.
type sentence struct {
	// text is as it stands in the text; runs of white space are one space.
	text string
	// length counts its words, all of them.
	length int
	// words are in lower case, once each, without the stop words.
	words map[string]bool
}

// sentences finds the sentences of a text, plain or with the markup of Markdown or reStructuredText,
// in its order. A paragraph without any full stop, such as an entry of a list, is a sentence only
// where the text has no other. It ends with errTooMany as soon as there are more than wanted.
func sentences(
	ctx context.Context, text string, stopWords map[string]bool, atMost int,
) ([]sentence, error) {
	var found, fragments []sentence
	for _, paragraph := range paragraphs(text) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		pieces := split(paragraph, atMost+1)
		kept := &fragments
		for _, piece := range pieces {
			if isEnded(piece) {
				kept = &found
			}
		}
		if kept == &fragments && len(fragments) > atMost {
			continue
		}
		for _, piece := range pieces {
			if strings.HasSuffix(piece, ":") {
				continue
			}
			if one := sentenceOf(piece, stopWords); one.length > 0 {
				*kept = append(*kept, one)
			}
		}
		if len(found) > atMost {
			return nil, errTooMany
		}
	}
	if len(found) == 0 {
		found = fragments
	}
	if len(found) > atMost {
		return nil, errTooMany
	}
	return found, nil
}

func sentenceOf(piece string, stopWords map[string]bool) sentence {
	one := sentence{text: piece, words: map[string]bool{}}
	for _, word := range words(piece) {
		one.length++
		if !stopWords[word] {
			one.words[word] = true
		}
	}
	return one
}

// split cuts a paragraph after each full stop that ends a sentence, into so many pieces at the most.
func split(paragraph string, atMost int) []string {
	var pieces []string
	runes := []rune(paragraph)
	start := 0
	for at := 0; at < len(runes) && len(pieces) < atMost; {
		end, stop := endAt(runes, at)
		if end == 0 {
			at++
			continue
		}
		before := string(runes[max(start, at-40):at])
		var after rune
		if end < len(runes) {
			after = runes[end]
		}
		if stop == "" || ends(before, stop, after) {
			pieces = append(pieces, strings.TrimSpace(string(runes[start:end])))
			start = end
		}
		at = end
	}
	if rest := strings.TrimSpace(string(runes[start:])); rest != "" && len(pieces) < atMost {
		pieces = append(pieces, rest)
	}
	return pieces
}

// endAt finds where a run of full stops that begins at a place, and what belongs to it, ends; 0 when
// there is none. The stop is empty where nothing has to follow it.
func endAt(runes []rune, at int) (end int, stop string) {
	begins := func(kind string) bool {
		return strings.ContainsRune(kind, runes[at]) && (at == 0 || !strings.ContainsRune(kind, runes[at-1]))
	}
	over := func(at int, kind string) int {
		for at < len(runes) && strings.ContainsRune(kind, runes[at]) {
			at++
		}
		return at
	}
	overSpace := func(at int) int {
		for at < len(runes) && unicode.IsSpace(runes[at]) {
			at++
		}
		return at
	}
	switch {
	case begins(stops):
		stopped := over(at, stops)
		closed := over(stopped, closers)
		if end := overSpace(closed); end > closed {
			return end, string(runes[at:stopped])
		}
	case begins(wideStops):
		return overSpace(over(over(at, wideStops), wideClosers)), ""
	}
	return 0, ""
}

func ends(before, stop string, after rune) bool {
	if unicode.IsLower(after) {
		return false
	}
	if stop != "." {
		return true
	}
	last := ""
	if fields := strings.Fields(before); len(fields) > 0 {
		last = strings.TrimLeft(fields[len(fields)-1], "([\"'“‘«*_")
	}
	if letters := []rune(last); len(letters) == 1 && unicode.IsUpper(letters[0]) && last != "I" {
		return false // an initial: J. Smith
	}
	word := strings.ToLower(last)
	if mayEnd[word] {
		return unicode.IsUpper(after)
	}
	return !goesOn[word] && !(beforeNumbers[word] && unicode.IsDigit(after))
}

func isEnded(piece string) bool {
	left := []rune(strings.TrimRight(piece, closers+wideClosers))
	return len(left) > 0 && strings.ContainsRune(stops+wideStops, left[len(left)-1])
}

// words gives the words of a text, in lower case; "don't" is one, "hsu_worker" and "well-known" are two.
func words(text string) []string {
	var found []string
	runes := []rune(text)
	for at := 0; at < len(runes); at++ {
		if !isWord(runes[at]) {
			continue
		}
		start := at
		for at++; at < len(runes); at++ {
			inner := (runes[at] == '\'' || runes[at] == '’') && at+1 < len(runes) && isWord(runes[at+1])
			if !isWord(runes[at]) && !inner {
				break
			}
		}
		word := strings.ToLower(string(runes[start:at]))
		found = append(found, strings.ReplaceAll(word, "’", "'"))
	}
	return found
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

func set(words string) map[string]bool {
	all := map[string]bool{}
	for _, word := range strings.Fields(words) {
		all[word] = true
	}
	return all
}
