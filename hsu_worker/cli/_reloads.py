"""What a reload has changed, in words."""

from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsu_worker.master import Changes


def summary(changes: "Changes") -> str:
    """The changes on one line."""
    told = {each.name: getattr(changes, each.name) for each in fields(changes)}
    words = [f"{word} {', '.join(units)}" for word, units in told.items() if units]
    return "; ".join(words) or "nothing has changed"
