"""The first keys of a unit's table in `hsu.toml`: what it is."""

from dataclasses import dataclass

from hsu_worker.master import values
from hsu_worker.master.keys import key

#: The keys of which a unit has exactly one: it says what the unit is.
KINDS = ("app", "command", "address", "register")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitKind:
    """What a unit is, and what it implements."""

    name: str
    app: str | None = key(
        values.import_string,
        "A Python worker: the module and the name of its app or service.",
        value='`"module:App"`',
    )
    command: tuple[str, ...] | None = key(
        values.command,
        "A worker in any language: the program and its arguments."
        " A program with a slash is relative to the file's folder.",
        value='`["./bin/worker"]`',
    )
    address: str | None = key(
        values.address,
        "A worker that runs already and is never stopped: where it listens.",
        value='`"tcp:127.0.0.1:5000"`',
    )
    register: bool = key(
        values.only_true,
        "A worker that somebody else starts, and that registers itself.",
        value="`true`",
        factory=bool,
    )
    implements: tuple[str, ...] = key(
        values.interfaces,
        "The interfaces that it implements; checked when it starts.",
        value='`["hsu.a.v1.InterfaceA"]`',
        otherwise="required",
        required=True,
    )

    @property
    def kind(self) -> str:
        """The one of `KINDS` that it has."""
        return next(kind for kind in KINDS if getattr(self, kind))
