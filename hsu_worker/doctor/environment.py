"""The variables of this shell: those that look like ours, and the port that a platform names."""

import os
from collections.abc import Collection, Iterator
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from hsu_worker.doctor.finding import Check, Finding, ok, warning
from hsu_worker.wire.address import is_port
from hsu_worker.wire.launch import LaunchVariables

_PREFIX: Final = "HSU_"
#: What no option and no launch stands for.
_OTHERS: Final = ("HSU_MASTER_TOKEN_FILE", "HSU_KEEPER_ID", "HSU_CHECK_LAUNCH")
#: How like a known name one has to be, of 1, to be a mistake: programs have variables of their own.
_LIKENESS: Final = 0.85


def environment(variables: Collection[str]) -> Check:
    """The check, which knows the variables that stand for options."""
    launch = (f"{_PREFIX}{each.name.upper()}" for each in fields(LaunchVariables))
    known = {*variables, *launch, *_OTHERS}

    def environment(_folder: Path) -> Iterator[Finding]:
        wrong = [*_misspelt(known), *_port(os.environ.get("PORT", ""))]
        yield from wrong
        if not wrong:
            yield ok("environment", "no variable of this shell is misspelt")

    return environment


def _misspelt(known: Collection[str]) -> Iterator[Finding]:
    for name in sorted(os.environ):
        if not name.startswith(_PREFIX) or name in known:
            continue
        for near in get_close_matches(name, known, n=1, cutoff=_LIKENESS):
            yield warning("environment", f"{name} is set, and nothing reads it", f"write {near}")


def _port(text: str) -> Iterator[Finding]:
    if text and not is_port(text):
        yield warning(
            "environment",
            f"PORT={text!r} is not a port, and `hsu-worker serve` refuses it",
            "correct it, or unset it",
        )
