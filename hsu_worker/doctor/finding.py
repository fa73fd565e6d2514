"""What a check has found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias


class Verdict(StrEnum):
    """What a finding means: nothing, that something could be better, or that it won't work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    id: str
    """The check, in a word."""
    verdict: Verdict
    cause: str
    """One sentence: what there is, or what is wrong."""
    cure: str = ""
    """What to do; empty when all is well."""


#: Looks at something, given the folder of the project.
Check: TypeAlias = Callable[[Path], Iterator[Finding]]


def ok(check: str, cause: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, cause)


def warning(check: str, cause: str, cure: str) -> Finding:
    """It works, and could be better."""
    return Finding(check, Verdict.WARNING, cause, cure)


def problem(check: str, cause: str, cure: str) -> Finding:
    """It won't work."""
    return Finding(check, Verdict.PROBLEM, cause, cure)
