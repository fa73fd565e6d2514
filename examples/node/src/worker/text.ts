// From a plain text to its sentences. The paragraphs of a text have an empty line between them.

/** Short forms after which a sentence goes on. */
const GOES_ON = set(
  "al approx capt cf col dr e.g eq fig figs gen hon i.e lt mr mrs ms prof rev resp sgt st u.k u.s " +
    "viz vs",
);
/** Those after which it goes on unless a capital follows. */
const MAY_END = set("a.m co corp dept ed eds est etc inc jr ltd p.m sr");
/** Those after which it goes on when a digit follows. */
const BEFORE_NUMBERS = set("art ch no nos p pp sec ver vol vols");

// Full stops, and what may stand behind them; those of Chinese and Japanese need no space after them.
const END = /(?<![.!?…])(?<stop>[.!?…]+)[*_"'”’»)\]]*\s+|(?<![。！？])[。！？]+[”’」』）]*\s*/gu;
const ENDED = /[.!?…。！？][*_"'”’»)\]」』）]*$/u;
const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*/gu;

/** A text has more sentences than are wanted. */
export class TooMany extends Error {}

/** One sentence, and what of it counts. */
export interface Sentence {
  /** As it stands in the text; runs of white space are one space. */
  readonly text: string;
  /** Its words, all of them. */
  readonly length: number;
  /** Its words in lower case, once each, without the stop words. */
  readonly words: ReadonlySet<string>;
}

/**
 * The sentences of a text, in its order. A paragraph without any full stop, such as a heading, is a
 * sentence only where the text has no other.
 *
 * @throws TooMany when there are more than wanted.
 */
export function sentences(
  text: string,
  stopWords: ReadonlySet<string>,
  atMost: number,
): Sentence[] {
  const found: Sentence[] = [];
  const fragments: Sentence[] = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    const pieces = split(paragraph.split(/\s+/).filter(Boolean).join(" "));
    const kept = pieces.some((piece) => ENDED.test(piece)) ? found : fragments;
    for (const piece of pieces) {
      const every = piece.endsWith(":") ? [] : words(piece);
      if (every.length > 0) {
        const counting = new Set(every.filter((word) => !stopWords.has(word)));
        kept.push({ text: piece, length: every.length, words: counting });
      }
      if (found.length > atMost) {
        throw new TooMany();
      }
    }
  }
  if (found.length === 0 && fragments.length > atMost) {
    throw new TooMany();
  }
  return found.length > 0 ? found : fragments;
}

/** Words separated by white space; what follows a # is a remark. */
export function readStopWords(text: string): Set<string> {
  const lines = text.split("\n").map((line) => line.replace(/#.*/, ""));
  return set(lines.join(" ").toLowerCase());
}

/** Cuts a paragraph after each full stop that ends a sentence. */
export function split(paragraph: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  for (const match of paragraph.matchAll(END)) {
    const end = match.index + match[0].length;
    const before = paragraph.slice(Math.max(start, match.index - 40), match.index);
    const stop = match.groups?.stop;
    const after = String.fromCodePoint(paragraph.codePointAt(end) ?? 0x20);
    if (stop === undefined || ends(before, stop, after)) {
      pieces.push(paragraph.slice(start, end).trim());
      start = end;
    }
  }
  return [...pieces, paragraph.slice(start).trim()].filter((piece) => piece !== "");
}

function ends(before: string, stop: string, after: string): boolean {
  if (/\p{Ll}/u.test(after)) {
    return false;
  }
  if (stop !== ".") {
    return true;
  }
  const last = (before.trim().split(/\s+/).at(-1) ?? "").replace(/^[(["'“‘«*_]+/u, "");
  const word = last.toLowerCase();
  if (/^\p{Lu}$/u.test(last) && last !== "I") {
    return false; // an initial: J. Smith
  }
  if (MAY_END.has(word)) {
    return /\p{Lu}/u.test(after);
  }
  return !GOES_ON.has(word) && !(BEFORE_NUMBERS.has(word) && /\p{Nd}/u.test(after));
}

/** The words of a text, in lower case; `don't` is one, `well-known` is two. */
function words(text: string): string[] {
  return Array.from(text.matchAll(WORD), ([word]) => word.toLowerCase().replaceAll("’", "'"));
}

function set(text: string): Set<string> {
  return new Set(text.split(/\s+/).filter(Boolean));
}
