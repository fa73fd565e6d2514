//! From a text with the markup of Markdown or reStructuredText to its paragraphs of prose. No parser: it
//! keeps what reads as prose and drops the rest (code, headings, tables, directives).

use std::sync::LazyLock;

use regex::Regex;

use super::text::is_word;

/// Directives of reStructuredText that hold prose; what stands under any other is dropped.
const PROSE: [&str; 12] = [
    "attention",
    "caution",
    "danger",
    "deprecated",
    "hint",
    "important",
    "note",
    "seealso",
    "tip",
    "versionadded",
    "versionchanged",
    "warning",
];

const ADORNMENT: &str = "=-~^\"'*+#:._`";
const PROSE_SIGNS: &str = " ,.;:'\"“”’-()";

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("it is a regular expression")
}

static EXPLICIT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\.\.(?: (?<name>[\p{L}\p{N}_-]+)::)?(?: +(?<rest>.*))?$"));
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:[-*+•]|\(?[0-9]{1,3}[.)]|\(?[a-z]\)|:[^:`]+:|\[\^[^\]]*\]:)\s+(?<rest>\S)")
});
static LINK_TARGET: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\[[^\[\]^][^\[\]]*\]:\s*\S"));
static HEADING: LazyLock<Regex> = LazyLock::new(|| pattern(r"^#{1,6}(?:\s|$)"));

/// Takes marks off, in this order.
static INLINE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let tags = "a|b|blockquote|br|center|code|dd|del|details|div|dl|dt|em|h[1-6]|hr|i|img|kbd|li|ol|p|\
                picture|pre|small|source|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|ul";
    let tag = format!(r"(?i)</?(?:{tags})(?:\s[^<>]*)?/?>");
    [
        (r"!\[[^\[\]]*\]\([^()]*\)", ""),        // ![image](address)
        (r"\[([^\[\]]*)\]\([^()]*\)", "$1"),     // [text](address)
        (r"\[([^\[\]]+)\]\[[^\[\]]*\]", "$1"),   // [text][target]
        (r" ?\[[\p{L}\p{N}_#^*-]{1,20}\]_", ""), // [1]_
        (r":[a-z:]{2,20}:`[~!]?([^`<]+?) ?(?:<[^`<>]*>)?`", "$1"), // :role:`text`
        (r"`([^`<]+?) ?<[^`<>]*>`__?", "$1"),    // `text <address>`_
        (r"`+([^`]+)`+_{0,2}", "$1"),            // `text`
        (r"<([a-z]+://[^\s<>]*)>", "$1"),        // <address>
        (tag.as_str(), ""),
    ]
    .map(|(text, replacement)| (pattern(text), replacement))
    .into()
});

/// The paragraphs and the entries of lists, each on one line and without markup.
pub fn paragraphs(text: &str) -> Vec<String> {
    let text = without_comments(&dedent(&expand_tabs(text)));
    let lines = split_lines(&text);
    let kept = without_code(&lines);
    let mut found = Vec::new();
    let mut after_list = false;
    for block in kept.split(|line| line.trim().is_empty()).filter(|block| !block.is_empty()) {
        let is_list = ITEM.is_match(block[0].trim());
        if is_code(block) && !after_list && !is_list {
            continue;
        }
        if !block[0].starts_with(' ') {
            after_list = is_list;
        }
        let clean = pieces(block).into_iter().map(|piece| without_marks(&piece));
        found.extend(clean.filter(|piece| !piece.is_empty()));
    }
    found
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("<!--");
    let first = parts.next().unwrap_or_default();
    let others = parts.map(|other| match other.split_once("-->") {
        Some((_, rest)) if !rest.is_empty() => rest,
        _ => other,
    });
    std::iter::once(first).chain(others).collect()
}

/// Drops fenced blocks, literal blocks, directives and examples of the Python prompt.
fn without_code(lines: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut above = "";
    let mut at = 0;
    while at < lines.len() {
        let line = &lines[at];
        let stripped = line.trim();
        at += 1;
        if let Some(mark) = fence(stripped).filter(|_| !is_underline(stripped, above)) {
            at = end_of_fence(lines, at, mark);
        } else if let Some(explicit) = EXPLICIT.captures(stripped) {
            if explicit.name("name").is_some_and(|name| PROSE.contains(&name.as_str())) {
                kept.push(String::new());
                kept.push(explicit.name("rest").map_or("", |rest| rest.as_str()).to_owned());
            } else {
                at = end_of_indented(lines, at, line);
            }
        } else if stripped.starts_with(">>> ") {
            while at < lines.len() && !lines[at].trim().is_empty() {
                at += 1;
            }
        } else if stripped.ends_with("::") {
            let end = line.trim_end();
            kept.push(end[..end.len() - 1].to_owned());
            kept.push(String::new());
            at = end_of_indented(lines, at, line);
        } else {
            kept.push(line.clone());
        }
        above = &lines[at - 1];
    }
    kept
}

/// The three or more signs that open a fenced block.
fn fence(line: &str) -> Option<&str> {
    let sign = line.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let rest = line.trim_start_matches(sign);
    let mark = &line[..line.len() - rest.len()];
    (mark.len() >= 3).then_some(mark)
}

fn end_of_fence(lines: &[String], at: usize, mark: &str) -> usize {
    let sign = mark.chars().next().unwrap_or('`');
    let is_end = |line: &String| {
        let line = line.trim();
        line.starts_with(mark) && line.chars().all(|char| char == sign)
    };
    lines[at..].iter().position(is_end).map_or(lines.len(), |place| at + place + 1)
}

fn end_of_indented(lines: &[String], at: usize, above: &str) -> usize {
    let margin = indent(above);
    let inner = lines[at..].iter();
    at + inner.take_while(|line| line.trim().is_empty() || indent(line) > margin).count()
}

fn indent(line: &str) -> usize {
    line.chars().take_while(|char| char.is_whitespace()).count()
}

fn is_adornment(line: &str) -> bool {
    let Some(sign) = line.chars().next() else { return false };
    line.len() >= 3 && ADORNMENT.contains(sign) && line.chars().all(|char| char == sign)
}

fn is_underline(line: &str, above: &str) -> bool {
    let above = above.trim();
    is_adornment(line) && !above.is_empty() && !is_adornment(above)
}

/// Indented by four, and more signs in it than prose has: licences indent their prose too.
fn is_code(block: &[String]) -> bool {
    if block.iter().any(|line| indent(line) < 4) {
        return false;
    }
    let text = block.join(" ");
    let signs = text.chars().filter(|char| is_word(*char) || PROSE_SIGNS.contains(*char)).count();
    (signs as f64) < 0.97 * text.chars().count() as f64 || text.split_whitespace().count() < 5
}

/// Joins the lines of a block, cuts it at the entries of a list, and drops headings and tables.
fn pieces(block: &[String]) -> Vec<String> {
    let is_rule = |line: &String| {
        line.chars().all(|char| "=-:|+ \t".contains(char)) && line.split_whitespace().count() > 1
    };
    let mut all = Vec::new();
    if block.iter().any(is_rule) {
        return all;
    }
    let mut piece: Vec<&str> = Vec::new();
    for raw in block {
        let mut line = raw.trim();
        if line.starts_with('>') {
            line = line.trim_start_matches(['>', ' ']);
        }
        let is_table = ["|", "+-", "+="].iter().any(|mark| line.starts_with(mark));
        if is_adornment(line) {
            if piece.len() == 1 {
                piece.clear();
            }
        } else if HEADING.is_match(line) || is_table {
            all.push(std::mem::take(&mut piece).join(" "));
        } else if LINK_TARGET.is_match(line) || line == ":" {
            continue;
        } else if let Some(rest) = ITEM.captures(line).and_then(|item| item.name("rest")) {
            all.push(std::mem::take(&mut piece).join(" "));
            piece.push(&line[rest.start()..]);
        } else {
            piece.push(line);
        }
    }
    all.push(piece.join(" "));
    all
}

fn without_marks(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, replacement) in INLINE.iter() {
        text = pattern.replace_all(&text, *replacement).into_owned();
    }
    let text = without_emphasis(&text);
    let text = html_escape::decode_html_entities(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makes text of *text*, **text** and ***text***.
fn without_emphasis(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        if let Some((start, stop, end)) = emphasis_at(&chars, at) {
            kept.extend(&chars[start..stop]);
            at = end;
        } else {
            kept.push(chars[at]);
            at += 1;
        }
    }
    kept
}

/// Where an emphasis that begins at a place has its text, from and to, and where it ends.
fn emphasis_at(chars: &[char], at: usize) -> Option<(usize, usize, usize)> {
    let is_sign = |char: &char| is_word(*char) || *char == '_';
    let stars = |at: usize| chars[at..].iter().take_while(|char| **char == '*').count();
    let opening = stars(at);
    let before = at.checked_sub(1).map(|place| chars[place]);
    let is_inner = before.is_some_and(|char| is_sign(&char) || char == '*');
    if opening == 0 || opening > 3 || is_inner {
        return None;
    }
    let start = at + opening;
    let stop = start + chars[start..].iter().take_while(|char| **char != '*').count();
    let mut closing = stars(stop).min(3);
    if stop == start
        || closing == 0
        || chars[start].is_whitespace()
        || chars[stop - 1].is_whitespace()
    {
        return None;
    }
    if chars.get(stop + closing).is_some_and(is_sign) {
        closing -= 1;
    }
    (closing > 0).then_some((start, stop, stop + closing))
}

/// Takes off the white space that all lines begin with.
fn dedent(text: &str) -> String {
    let is_blank = |line: &str| line.chars().all(|char| matches!(char, ' ' | '\t'));
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let margin = text.split('\n').filter(|line| !is_blank(line)).map(spaces).min().unwrap_or(0);
    let lines = text.split('\n').map(|line| if is_blank(line) { "" } else { &line[margin..] });
    lines.collect::<Vec<_>>().join("\n")
}

fn expand_tabs(text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut column = 0;
    for char in text.chars() {
        match char {
            '\t' => {
                let width = 8 - column % 8;
                expanded.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            '\n' | '\r' => {
                expanded.push(char);
                column = 0;
            }
            _ => {
                expanded.push(char);
                column += 1;
            }
        }
    }
    expanded
}

fn split_lines(text: &str) -> Vec<String> {
    let ends = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    text.replace("\r\n", "\n").split(ends).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_kept_and_the_rest_dropped() {
        for (text, expected) in [
            ("A *b* **c** `d` [e](f) &amp; <b>g</b>", vec!["A b c d e & g"]),
            ("Title\n=====\n\nText\ngoes on.", vec!["Text goes on."]),
            ("```\ncode\n```\nText.", vec!["Text."]),
            ("Like this::\n\n    code()\n\nText.", vec!["Like this:", "Text."]),
            (".. note:: Take care.\n\n.. code:: x\n\n   y\n", vec!["Take care."]),
            (">>> code\nanswer\n\nText.", vec!["Text."]),
            ("| a | b |\n|---|---|\n| c | d |", vec![]),
            ("a <!-- no --> b", vec!["a b"]),
            ("x*y*z and 2*3", vec!["x*y*z and 2*3"]),
        ] {
            assert_eq!(expected, paragraphs(text), "{text}");
        }
    }
}
