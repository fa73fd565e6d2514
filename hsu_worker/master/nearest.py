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
    """What is near, `did you mean 'index'?`, or else what there is: `configured: a, b`.

    Args:
        name: What was asked for.

        known: What there is.

        what: Stands before a list.

        show: How a listed name is written.
    """
    if near := get_close_matches(name, known, n=1):
        return f"did you mean {near[0]!r}?"
    more = len(known) - MOST
    listed = ", ".join(map(show, list(known)[:MOST])) or "none"
    return f"{what}: {listed} and {more} more" if more > 0 else f"{what}: {listed}"
