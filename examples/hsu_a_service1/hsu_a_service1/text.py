"""From a text, plain or with the markup of Markdown or reStructuredText, to its sentences."""

# ruff: noqa: RUF001  the quotes and full stops of other scripts are this file's subject
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from hsu_a_service1.markup import paragraphs

#: Short forms after which a sentence goes on.
_GOES_ON = frozenset(
    (
        "al",
        "approx",
        "capt",
        "cf",
        "col",
        "dr",
        "e.g",
        "eq",
        "fig",
        "figs",
        "gen",
        "hon",
        "i.e",
        "lt",
        "mr",
        "mrs",
        "ms",
        "prof",
        "rev",
        "resp",
        "sgt",
        "st",
        "u.k",
        "u.s",
        "viz",
        "vs",
    )
)

#: Short forms after which a sentence goes on unless a capital follows.
_MAY_END = frozenset(
    (
        "a.m",
        "co",
        "corp",
        "dept",
        "ed",
        "eds",
        "est",
        "etc",
        "inc",
        "jr",
        "ltd",
        "p.m",
        "sr",
    )
)

#: Short forms after which a sentence goes on when a digit follows.
_BEFORE_NUMBERS = frozenset(
    (
        "art",
        "ch",
        "no",
        "nos",
        "p",
        "pp",
        "sec",
        "ver",
        "vol",
        "vols",
    )
)

# Each match begins where a run of full stops does: from within a long run it would be tried again
# and again.
_END = re.compile(
    r"""
    (?<![.!?…]) (?P<stop> [.!?…]++ ) [*_"'”’»)\]]*+ \s+   # a space follows, or ...
    | (?<![。！？]) [。！？]++ [”’」』）]*+ \s*               # ... in Chinese and Japanese need not
    """,
    re.VERBOSE,
)
_ENDED = re.compile(r"""[.!?…。！？][*_"'”’»)\]」』）]*+$""")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class TooMany(Exception):
    """A text has more sentences than are wanted."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, and what of it counts."""

    text: str
    """As it stands in the text; runs of white space are one space."""
    length: int
    """Its words, all of them."""
    words: frozenset[str]
    """Its words in lower case, once each, without the stop words."""


def sentences(
    text: str, stop_words: Container[str] = frozenset(), *, at_most: int = 10**9
) -> list[Sentence]:
    r"""The sentences of a text, in its order.

        sentences("# Bread\n\nDough rests. It rises!")    # two; the heading is none

    A paragraph without any full stop, such as an entry of a list, is a sentence only where the text
    has no other.

    Raises:
        TooMany: There are more than `at_most`. The rest of the text is not read then.
    """
    found: list[Sentence] = []
    fragments: list[Sentence] = []
    for paragraph in paragraphs(text):
        pieces = list(islice(split(paragraph), at_most + 1))
        kept = found if any(map(_ENDED.search, pieces)) else fragments
        if kept is fragments and len(fragments) > at_most:
            continue
        every = (_sentence(piece, stop_words) for piece in pieces if not piece.endswith(":"))
        kept += [sentence for sentence in every if sentence.length]
        if len(found) > at_most:
            raise TooMany
    if not found and len(fragments) > at_most:
        raise TooMany
    return found or fragments


def split(paragraph: str) -> Iterator[str]:
    """Cut a paragraph after each full stop that ends a sentence."""
    start = 0
    for end in _END.finditer(paragraph):
        before = paragraph[max(start, end.start() - 40) : end.start()]
        if end["stop"] is None or _ends(before, end["stop"], paragraph[end.end() : end.end() + 1]):
            yield paragraph[start : end.end()].strip()
            start = end.end()
    if rest := paragraph[start:].strip():
        yield rest


def _ends(before: str, stop: str, after: str) -> bool:
    if after.islower():
        return False
    if stop != ".":
        return True
    last = before.split()[-1].lstrip("([\"'“‘«*_") if before.strip() else ""
    word = last.lower()
    if len(last) == 1 and last.isupper() and last != "I":
        return False  # an initial: J. Smith
    if word in _MAY_END:
        return after.isupper()
    return word not in _GOES_ON and not (word in _BEFORE_NUMBERS and after.isdigit())


def words(text: str) -> Iterator[str]:
    """The words of a text, in lower case; `don't` is one, `hsu_worker` and `well-known` are two."""
    return (match[0].lower().replace("’", "'") for match in _WORD.finditer(text))


def read_stop_words(lines: Iterable[str]) -> frozenset[str]:
    """Words separated by white space; what follows a # is a remark."""
    return frozenset(word.lower() for line in lines for word in line.partition("#")[0].split())


def _sentence(piece: str, stop_words: Container[str]) -> Sentence:
    every = list(words(piece))
    return Sentence(piece, len(every), frozenset(word for word in every if word not in stop_words))
