"""How the keys of `hsu.toml` are declared.

A key is declared once, as a field of a dataclass; the reader, the messages and the table in the
documentation are made from that.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from hsu_worker.master.values import Parse, toml


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key, beside its name."""

    parse: Parse
    doc: str
    """One sentence for the documentation."""
    value: str
    """What a value looks like, for the documentation."""
    default: object
    """As written in TOML; None: the field's own default, if any."""
    otherwise: str
    """What holds without the key, for the documentation."""
    kinds: tuple[str, ...]
    """The kinds of units that have it; empty: all."""
    live: bool
    """A change of it holds without a new process."""


def key(
    parse: Parse,
    doc: str,
    *,
    value: str,
    default: object = None,
    otherwise: str = "",
    kinds: tuple[str, ...] = (),
    factory: Callable[[], object] | None = None,
    required: bool = False,
    secret: bool = False,
    live: bool = False,
) -> Any:
    """Declare a key as a field of a dataclass; see `UnitConfig`."""
    shown = otherwise or ("" if default is None else f"`{toml(default)}`")
    facts = Key(parse, doc, value, default, shown, kinds, live)
    metadata = {"key": facts}
    if required:
        return field(metadata=metadata, repr=not secret)
    make = factory or ((lambda: None) if default is None else lambda: parse(default, Path()))
    return field(default_factory=make, metadata=metadata, repr=not secret)


def keys_of(table: type) -> dict[str, Key]:
    """The keys that a dataclass declares, by name."""
    return {each.name: each.metadata["key"] for each in fields(table) if "key" in each.metadata}


def is_required(table: type, name: str) -> bool:
    """A table without this key is wrong."""
    each: Field[Any] = next(each for each in fields(table) if each.name == name)
    return each.default is MISSING and each.default_factory is MISSING
