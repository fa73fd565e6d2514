"""Compares long sequences: pytest's own difference of thousands of like lines takes minutes."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any


def assert_same(expected: Sequence[Any], actual: Sequence[Any]) -> None:
    """As `assert expected == actual`; tells the first place where they differ."""
    nothing = "(nothing)"
    for place, (wanted, got) in enumerate(zip_longest(expected, actual, fillvalue=nothing)):
        assert wanted == got, f"they differ first at {place}, of {len(expected)} and {len(actual)}"
