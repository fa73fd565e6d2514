"""The nearest of the words that would have been right."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

#: Words that a message lists.
_LISTED: Final = 20
#: How like a word has to be, of 1.
_LIKENESS: Final = 0.7


def nearest(word: str, words: Sequence[str], *, listed: bool = True) -> str:
    """The end of a message about a word that isn't there: the nearest one, else all.

        nearest("txt", ["text", "size"])      # "; did you mean 'text'?"
        nearest("q", ["text", "size"])        # "; it has text, size"
        nearest("q", [])                      # ""

    Args:
        word: What was written.

        words: What could have been.

        listed: List the words if none is near.
    """
    # The last part of a name is what people remember of it.
    known = {_plain(each.rpartition(".")[2]): each for each in reversed(words)}
    known |= {_plain(each): each for each in reversed(words)}
    near = get_close_matches(_plain(word), known, n=1, cutoff=_LIKENESS)
    if near:
        return f"; did you mean {known[near[0]]!r}?"
    if not words or not listed:
        return ""
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return f"; it has {', '.join(words[:_LISTED])}{more}"


def _plain(word: str) -> str:
    """`StreamSummary`, `stream_summary` and `stream-summary` are one word to a person."""
    return word.lower().replace("_", "").replace("-", "")
