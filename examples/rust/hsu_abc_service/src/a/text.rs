//! From a text, plain or with the markup of Markdown or reStructuredText, to its sentences.

use std::collections::HashSet;

use super::markup::paragraphs;

/// Short forms after which a sentence goes on.
const GOES_ON: &str = "al approx capt cf col dr e.g eq fig figs gen hon i.e lt mr mrs ms prof rev \
                       resp sgt st u.k u.s viz vs";
/// Short forms after which a sentence goes on unless a capital follows.
const MAY_END: &str = "a.m co corp dept ed eds est etc inc jr ltd p.m sr";
/// Short forms after which a sentence goes on when a digit follows.
const BEFORE_NUMBERS: &str = "art ch no nos p pp sec ver vol vols";

/// Full stops, and what may stand behind them; those of Chinese and Japanese need no space after them.
const STOPS: &str = ".!?…";
const CLOSERS: &str = "*_\"'”’»)]";
const WIDE_STOPS: &str = "。！？";
const WIDE_CLOSERS: &str = "”’」』）";

/// One sentence, and what of it counts.
#[derive(Debug)]
pub struct Sentence {
    /// As it stands in the text; runs of white space are one space.
    pub text: String,
    /// Its words, all of them.
    pub length: usize,
    /// Its words in lower case, once each, without the stop words.
    pub words: HashSet<String>,
}

/// The sentences of a text, in its order; nothing when there are more than `at_most`. A paragraph without
/// any full stop, such as an entry of a list, is a sentence only where the text has no other.
pub fn sentences(
    text: &str,
    stop_words: &HashSet<String>,
    at_most: usize,
) -> Option<Vec<Sentence>> {
    let (mut found, mut fragments) = (Vec::new(), Vec::new());
    for paragraph in paragraphs(text) {
        let pieces = split(&paragraph, at_most + 1);
        let is_prose = pieces.iter().any(|piece| is_ended(piece));
        if !is_prose && fragments.len() > at_most {
            continue;
        }
        let kept = if is_prose { &mut found } else { &mut fragments };
        let every = pieces.into_iter().filter(|piece| !piece.ends_with(':'));
        kept.extend(every.map(|piece| sentence(piece, stop_words)).filter(|one| one.length > 0));
        if found.len() > at_most {
            return None;
        }
    }
    let kept = if found.is_empty() { fragments } else { found };
    (kept.len() <= at_most).then_some(kept)
}

fn sentence(text: String, stop_words: &HashSet<String>) -> Sentence {
    let every = words(&text);
    let length = every.len();
    let words = every.into_iter().filter(|word| !stop_words.contains(word)).collect();
    Sentence { text, length, words }
}

/// Cuts a paragraph after each full stop that ends a sentence, into so many pieces at the most.
fn split(paragraph: &str, at_most: usize) -> Vec<String> {
    let chars: Vec<char> = paragraph.chars().collect();
    let text = |from: usize, to: usize| chars[from..to].iter().collect::<String>();
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < chars.len() && pieces.len() < at_most {
        let Some((end, stop)) = end_at(&chars, at) else {
            at += 1;
            continue;
        };
        let before = text(start.max(at.saturating_sub(40)), at);
        if stop.is_none_or(|stop| ends(&before, &text(at, stop), chars.get(end).copied())) {
            pieces.push(text(start, end).trim().to_owned());
            start = end;
        }
        at = end;
    }
    let rest = text(start, chars.len()).trim().to_owned();
    if !rest.is_empty() && pieces.len() < at_most {
        pieces.push(rest);
    }
    pieces
}

/// Where a run of full stops that begins at a place, and what belongs to it, ends; and where the stops
/// themselves do, if something has to follow them.
fn end_at(chars: &[char], at: usize) -> Option<(usize, Option<usize>)> {
    let begins =
        |kind: &str| kind.contains(chars[at]) && (at == 0 || !kind.contains(chars[at - 1]));
    let over = |at: usize, is_kind: &dyn Fn(char) -> bool| {
        at + chars[at..].iter().take_while(|char| is_kind(**char)).count()
    };
    if begins(STOPS) {
        let stopped = over(at, &|char| STOPS.contains(char));
        let closed = over(stopped, &|char| CLOSERS.contains(char));
        let end = over(closed, &char::is_whitespace);
        return (end > closed).then_some((end, Some(stopped)));
    }
    if begins(WIDE_STOPS) {
        let stopped = over(at, &|char| WIDE_STOPS.contains(char));
        let closed = over(stopped, &|char| WIDE_CLOSERS.contains(char));
        return Some((over(closed, &char::is_whitespace), None));
    }
    None
}

fn ends(before: &str, stop: &str, after: Option<char>) -> bool {
    if after.is_some_and(char::is_lowercase) {
        return false;
    }
    if stop != "." {
        return true;
    }
    let last = before.split_whitespace().next_back().unwrap_or_default();
    let last = last.trim_start_matches(['(', '[', '"', '\'', '“', '‘', '«', '*', '_']);
    let mut letters = last.chars();
    if let (Some(letter), None) = (letters.next(), letters.next())
        && letter.is_uppercase()
        && letter != 'I'
    {
        return false; // an initial: J. Smith
    }
    let word = last.to_lowercase();
    let is_one_of = |forms: &str| forms.split(' ').any(|form| form == word);
    if is_one_of(MAY_END) {
        return after.is_some_and(char::is_uppercase);
    }
    let is_numbered = is_one_of(BEFORE_NUMBERS) && after.is_some_and(char::is_numeric);
    !is_one_of(GOES_ON) && !is_numbered
}

fn is_ended(piece: &str) -> bool {
    let is_closer = |char| CLOSERS.contains(char) || WIDE_CLOSERS.contains(char);
    let last = piece.trim_end_matches(is_closer).chars().next_back();
    last.is_some_and(|char| STOPS.contains(char) || WIDE_STOPS.contains(char))
}

/// The words of a text, in lower case; `don't` is one, `hsu_worker` and `well-known` are two.
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        let is_inner = matches!(char, '\'' | '’')
            && !word.is_empty()
            && rest.peek().is_some_and(|next| is_word(*next));
        if is_word(char) {
            word.push(char);
        } else if is_inner {
            word.push('\'');
        } else if !word.is_empty() {
            found.push(std::mem::take(&mut word).to_lowercase());
        }
    }
    if !word.is_empty() {
        found.push(word.to_lowercase());
    }
    found
}

/// A letter or a digit; marks that stand on letters are none.
pub fn is_word(char: char) -> bool {
    use std::sync::LazyLock;

    use regex::Regex;
    static WORD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[\p{L}\p{N}]$").expect("it is one"));
    if char.is_ascii() {
        return char.is_ascii_alphanumeric();
    }
    char.is_alphanumeric() && WORD.is_match(char.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let found = sentences(text, &HashSet::new(), 100).unwrap();
        found.into_iter().map(|each| each.text).collect()
    }

    #[test]
    fn a_heading_is_no_sentence() {
        assert_eq!(vec!["Dough rests.", "It rises!"], texts("# Bread\n\nDough rests. It rises!"));
    }

    #[test]
    fn short_forms_and_initials_end_nothing() {
        for text in [
            "See fig. Two of it.",
            "J. Smith came at 5 p.m. or so.",
            "It has no. 5 on it.",
            "What?! he said.",
        ] {
            assert_eq!(vec![text], texts(text));
        }
        assert_eq!(2, texts("It came at 5 p.m. Then it went.").len());
        assert_eq!(2, texts("これはペンです。あれは本です。").len());
    }

    #[test]
    fn a_fragment_counts_where_there_is_no_sentence() {
        assert_eq!(vec!["one", "two"], texts("- one\n- two\n"));
        assert_eq!(vec!["It is."], texts("- one\n\nIt is.\n"));
    }

    #[test]
    fn words_are_cut_where_people_cut_them() {
        assert_eq!(vec!["don't", "hsu", "worker", "ça"], words("Don’t, hsu_worker; ‘Ça’"));
    }

    #[test]
    fn too_many_are_not_read() {
        assert!(sentences("A b. C d. E f.", &HashSet::new(), 2).is_none());
    }
}
