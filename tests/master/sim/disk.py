"""The survivors' folder of a simulated machine: a true one, of which each change is a step.

A master may be killed before and after each step. What it does afterwards is done to a folder that nobody
looks at: the next master has a copy of that moment.
"""

import json
import os
from collections.abc import Callable, Generator
from pathlib import Path, PosixPath
from typing import IO, Any, ClassVar, Protocol, Self


class Witness(Protocol):
    def step(self) -> bool:
        """A master does something; whether it still lives."""

    def written(self, path: Path) -> None:
        """A record is there."""

    def removed(self, path: Path) -> None:
        """A record is about to go."""


class Disk(PosixPath):
    """A path whose removal and renaming are steps."""

    witness: ClassVar[Witness]

    def glob(self, pattern: str) -> Generator[Self, None, None]:
        # In an order that is the same each time.
        yield from sorted(super().glob(pattern))

    def unlink(self, missing_ok: bool = False) -> None:
        alive = self.witness.step()
        if alive and self.suffix == ".json":
            self.witness.removed(self)
        super().unlink(missing_ok)
        self.witness.step()

    def rename(self, target: str | os.PathLike[str]) -> Self:
        self.witness.step()
        renamed = super().rename(target)
        self.witness.step()
        return renamed


def disk_of(witness: Witness, folder: Path) -> Disk:
    """A folder that tells a witness of its own."""
    made: Disk = type("Disk", (Disk,), {"witness": witness})(folder)
    return made


class RecordOs:
    """As the module `os` of those who write records."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def replace(self, name: str, path: Path) -> None:
        self._witness.step()
        os.replace(name, path)
        self._witness.written(path)
        self._witness.step()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


class RecordJson:
    """As the module `json` of those who write records."""

    loads: Callable[..., Any] = staticmethod(json.loads)

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def dump(self, value: object, file: IO[str]) -> None:
        json.dump(value, file)
        self._witness.step()
