"""Changes one list in somebody's TOML file, and nothing else: no comment, no order, no space."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any


def with_items(text: str, path: Sequence[str], old: str, new: Sequence[str]) -> str:
    """The text with other items in the place of one; "" when that can't be done safely.

        with_items(text, ("project", "dependencies"), "protobuf>=6", ["protobuf>=7"])

    Args:
        text: A TOML document.

        path: The keys that lead to a list of strings.

        old: An item of that list.

        new: What shall stand in its place. In a list with a line for each item, each gets a line.
    """
    try:
        data = tomllib.loads(text)
        expected = deepcopy(data)
        items = _list(expected, path)
        place = items.index(old)
    except (KeyError, TypeError, ValueError):
        return ""
    items[place : place + 1] = new
    return next((edit for edit in _edits(text, old, new) if _holds(edit, expected)), "")


def _list(data: Any, path: Sequence[str]) -> list[Any]:
    for key in path:
        data = data[key]
    if not isinstance(data, list):
        raise TypeError("no list")
    return data


def _edits(text: str, old: str, new: Sequence[str]) -> Iterator[str]:
    """The text with `old` replaced, at each place where it stands in quotes."""
    for found in re.finditer(f"([\"']){re.escape(old)}\\1", text):
        quote = found[1]
        indent = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        line_end = "\r\n" if "\r\n" in text else "\n"
        between = ", " if indent.strip() else f",{line_end}{indent}"
        put = between.join(f"{quote}{line}{quote}" for line in new)
        yield text[: found.start()] + put + text[found.end() :]


def _holds(text: str, expected: Any) -> bool:
    try:
        return bool(tomllib.loads(text) == expected)
    except tomllib.TOMLDecodeError:
        return False
