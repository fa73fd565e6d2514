package main

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// From a text with the markup of Markdown or reStructuredText to its paragraphs of prose. No parser:
// it keeps what reads as prose and drops the rest (code, headings, tables, directives).

var (
	fencePattern    = regexp.MustCompile("^(?:`{3,}|~{3,})")
	explicitPattern = regexp.MustCompile(`^\.\.(?: ([\p{L}\p{N}_-]+)::)?(?: +(.*))?$`)
	itemPattern     = regexp.MustCompile(
		"^(?:[-*+•]|\\(?[0-9]{1,3}[.)]|\\(?[a-z]\\)|:[^:`]+:|\\[\\^[^\\]]*\\]:)\\s+(\\S)")
	linkTargetPattern = regexp.MustCompile(`^\[[^\[\]^][^\[\]]*\]:\s*\S`)
	headingPattern    = regexp.MustCompile(`^#{1,6}(?:\s|$)`)
)

// prose names the directives of reStructuredText that hold prose; what stands under others is dropped.
var prose = set("attention caution danger deprecated hint important note seealso tip versionadded " +
	"versionchanged warning")

const (
	adornment = "=-~^\"'*+#:._`"
	proseSign = " ,.;:'\"“”’-()"
	tags      = "a|b|blockquote|br|center|code|dd|del|details|div|dl|dt|em|h[1-6]|hr|i|img|kbd|li|ol|p|" +
		"picture|pre|small|source|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|ul"
)

// inline takes marks off, in this order.
var inline = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`!\[[^\[\]]*\]\([^()]*\)`), ""},                          // ![image](address)
	{regexp.MustCompile(`\[([^\[\]]*)\]\([^()]*\)`), "$1"},                       // [text](address)
	{regexp.MustCompile(`\[([^\[\]]+)\]\[[^\[\]]*\]`), "$1"},                     // [text][target]
	{regexp.MustCompile(` ?\[[\p{L}\p{N}_#^*-]{1,20}\]_`), ""},                   // [1]_
	{regexp.MustCompile(":[a-z:]{2,20}:`[~!]?([^`<]+?) ?(?:<[^`<>]*>)?`"), "$1"}, // :role:`text`
	{regexp.MustCompile("`([^`<]+?) ?<[^`<>]*>`__?"), "$1"},                      // `text <address>`_
	{regexp.MustCompile("`+([^`]+)`+_{0,2}"), "$1"},                              // `text`
	{regexp.MustCompile(`<([a-z]+://[^\s<>]*)>`), "$1"},                          // <address>
	{regexp.MustCompile(`(?i)</?(?:` + tags + `)(?:\s[^<>]*)?/?>`), ""},
}

// paragraphs gives the paragraphs and the entries of lists, each on one line and without markup.
func paragraphs(text string) []string {
	var found []string
	lines := splitLines(withoutComments(dedent(expandTabs(text))))
	afterList := false
	for _, block := range blocks(withoutCode(lines)) {
		isList := itemPattern.MatchString(strings.TrimSpace(block[0]))
		if isCode(block) && !afterList && !isList {
			continue
		}
		if !strings.HasPrefix(block[0], " ") {
			afterList = isList
		}
		for _, piece := range pieces(block) {
			if clean := withoutMarks(piece); clean != "" {
				found = append(found, clean)
			}
		}
	}
	return found
}

// blocks gives the runs of lines that have an empty one between them.
func blocks(lines []string) [][]string {
	var all [][]string
	var block []string
	for _, line := range append(lines, "") {
		if strings.TrimSpace(line) != "" {
			block = append(block, line)
		} else if block != nil {
			all = append(all, block)
			block = nil
		}
	}
	return all
}

func withoutComments(text string) string {
	first, others, _ := strings.Cut(text, "<!--")
	kept := []string{first}
	for _, other := range strings.Split(others, "<!--") {
		if _, rest, _ := strings.Cut(other, "-->"); rest != "" {
			other = rest
		}
		kept = append(kept, other)
	}
	return strings.Join(kept, "")
}

// withoutCode drops fenced blocks, literal blocks, directives and examples of the Python prompt.
func withoutCode(lines []string) []string {
	var kept []string
	above := ""
	for at := 0; at < len(lines); {
		line := lines[at]
		stripped := strings.TrimSpace(line)
		at++
		fence := fencePattern.FindString(stripped)
		explicit := explicitPattern.FindStringSubmatch(stripped)
		switch {
		case fence != "" && !isUnderline(stripped, above):
			at = endOfFence(lines, at, fence)
		case explicit != nil && prose[explicit[1]]:
			kept = append(kept, "", explicit[2])
		case explicit != nil:
			at = endOfIndented(lines, at, line)
		case strings.HasPrefix(stripped, ">>> "):
			for at < len(lines) && strings.TrimSpace(lines[at]) != "" {
				at++
			}
		case strings.HasSuffix(stripped, "::"):
			kept = append(kept, strings.TrimSuffix(strings.TrimRightFunc(line, unicode.IsSpace), ":"), "")
			at = endOfIndented(lines, at, line)
		default:
			kept = append(kept, line)
		}
		above = lines[at-1]
	}
	return kept
}

func endOfFence(lines []string, at int, mark string) int {
	for end := at; end < len(lines); end++ {
		line := strings.TrimSpace(lines[end])
		if strings.HasPrefix(line, mark) && strings.Trim(line, mark[:1]) == "" {
			return end + 1
		}
	}
	return len(lines)
}

func endOfIndented(lines []string, at int, above string) int {
	for at < len(lines) && (strings.TrimSpace(lines[at]) == "" || indent(lines[at]) > indent(above)) {
		at++
	}
	return at
}

func indent(line string) int {
	return utf8.RuneCountInString(line) -
		utf8.RuneCountInString(strings.TrimLeftFunc(line, unicode.IsSpace))
}

func isAdornment(line string) bool {
	return len(line) >= 3 && strings.Contains(adornment, line[:1]) && strings.Trim(line, line[:1]) == ""
}

func isUnderline(line, above string) bool {
	above = strings.TrimSpace(above)
	return isAdornment(line) && above != "" && !isAdornment(above)
}

// isCode tells whether a block is indented by four, and has more signs in it than prose: licences
// indent their prose too.
func isCode(block []string) bool {
	for _, line := range block {
		if indent(line) < 4 {
			return false
		}
	}
	text := strings.Join(block, " ")
	signs := 0
	for _, r := range text {
		if isWord(r) || strings.ContainsRune(proseSign, r) {
			signs++
		}
	}
	return float64(signs) < 0.97*float64(utf8.RuneCountInString(text)) || len(strings.Fields(text)) < 5
}

// pieces joins the lines of a block, cuts it at the entries of a list, and drops headings and tables.
func pieces(block []string) []string {
	isRule := func(line string) bool {
		return strings.Trim(line, "=-:|+ \t") == "" && len(strings.Fields(line)) > 1
	}
	if slices.ContainsFunc(block, isRule) {
		return nil
	}
	var all, piece []string
	end := func(next ...string) {
		all = append(all, strings.Join(piece, " "))
		piece = next
	}
	for _, raw := range block {
		line := strings.TrimSpace(raw)
		if strings.HasPrefix(line, ">") {
			line = strings.TrimLeft(line, "> ")
		}
		item := itemPattern.FindStringSubmatchIndex(line)
		switch {
		case isAdornment(line):
			if len(piece) == 1 {
				piece = nil
			}
		case headingPattern.MatchString(line), strings.HasPrefix(line, "|"),
			strings.HasPrefix(line, "+-"), strings.HasPrefix(line, "+="):
			end()
		case linkTargetPattern.MatchString(line), line == ":":
		case item != nil:
			end(line[item[2]:])
		default:
			piece = append(piece, line)
		}
	}
	end()
	return all
}

func withoutMarks(text string) string {
	for _, each := range inline {
		text = each.pattern.ReplaceAllString(text, each.replacement)
	}
	return strings.Join(strings.Fields(html.UnescapeString(withoutEmphasis(text))), " ")
}

// withoutEmphasis makes text of *text*, **text** and ***text***.
func withoutEmphasis(text string) string {
	runes := []rune(text)
	var kept []rune
	for at := 0; at < len(runes); {
		if end, inner := emphasisAt(runes, at); end > 0 {
			kept = append(kept, inner...)
			at = end
		} else {
			kept = append(kept, runes[at])
			at++
		}
	}
	return string(kept)
}

// emphasisAt finds where an emphasis that begins at a place ends, and what it holds; 0 when none does.
func emphasisAt(runes []rune, at int) (end int, inner []rune) {
	isSign := func(at int) bool {
		return at >= 0 && at < len(runes) && (isWord(runes[at]) || runes[at] == '_')
	}
	stars := func(at int) int {
		count := 0
		for at+count < len(runes) && runes[at+count] == '*' {
			count++
		}
		return count
	}
	opening := stars(at)
	if opening == 0 || opening > 3 || isSign(at-1) || at > 0 && runes[at-1] == '*' {
		return 0, nil
	}
	start := at + opening
	stop := start
	for stop < len(runes) && runes[stop] != '*' {
		stop++
	}
	closing := min(3, stars(stop))
	if stop == start || closing == 0 || unicode.IsSpace(runes[start]) || unicode.IsSpace(runes[stop-1]) {
		return 0, nil
	}
	if isSign(stop + closing) {
		closing--
	}
	if closing == 0 {
		return 0, nil
	}
	return stop + closing, runes[start:stop]
}

// dedent takes off the white space that all lines begin with.
func dedent(text string) string {
	lines := strings.Split(text, "\n")
	margin := -1
	for i, line := range lines {
		if strings.Trim(line, " \t") == "" {
			lines[i] = ""
			continue
		}
		width := len(line) - len(strings.TrimLeft(line, " "))
		if margin < 0 || width < margin {
			margin = width
		}
	}
	for i, line := range lines {
		lines[i] = line[min(len(line), max(0, margin)):]
	}
	return strings.Join(lines, "\n")
}

func expandTabs(text string) string {
	var expanded strings.Builder
	column := 0
	for _, r := range text {
		switch r {
		case '\t':
			width := 8 - column%8
			expanded.WriteString(strings.Repeat(" ", width))
			column += width
			continue
		case '\n', '\r':
			column = -1
		}
		expanded.WriteRune(r)
		column++
	}
	return expanded.String()
}

// lineEnds makes one of everything that ends a line.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\x1c", "\n",
	"\x1d", "\n", "\x1e", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func splitLines(text string) []string {
	return strings.Split(lineEnds.Replace(text), "\n")
}
