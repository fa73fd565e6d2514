"""What to say to whoever names something that there is not."""

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Final

#: Names that are listed at the most: a thousand would hide the sentence that they end.
MOST: Final = 10


def offered(
    name: str,
    known: Collection[str],
    what: str = "configured",
    *,
    show: Callable[[str], str] = str,
) -> str:
    """What there is: `configured: a, b`; of many the nearest, `did you mean 'index'?`.

    Args:
        name: What was asked for.

        known: What there is.

        what: Stands before a list.

        show: How a listed name is written.
    """
    more = len(known) - MOST
    near = get_close_matches(name, known, n=1) if more > 0 else []
    if near:
        return f"did you mean {near[0]!r}?"
    listed = ", ".join(map(show, list(known)[:MOST])) or "none"
    return f"{what}: {listed} and {more} more" if more > 0 else f"{what}: {listed}"


def no_unit(name: str, units: Collection[str], what: str = "configured") -> str:
    """That there is no such unit; with the one that may be meant, or those that there are."""
    near = get_close_matches(name, units, n=1)
    there = f"did you mean {near[0]!r}?" if near else offered(name, units, what)
    return f"there is no unit {name!r}; {there}"
