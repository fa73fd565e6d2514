"""What a run found: for programs, and as text for people."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

from hsu_worker.conformance.check import Check, Level

#: What differs between two launches that end in the same way.
_OF_ONE_LAUNCH: Final = re.compile(r"[0-9a-f]{32}|[\w/.-]*\.sock|\d+\.\d+ s")


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check, made."""

    check: Check
    outcome: Outcome
    expected: str = ""
    """Of one that failed: what the contract asks for."""
    seen: str = ""
    """Of one that failed: what came instead."""
    output: Sequence[str] = ()
    """Of one that failed: the worker's last lines."""
    reason: str = ""
    """Of one that was skipped: why."""
    seconds: float

    @property
    def text(self) -> str:
        """What is to be said of it."""
        return self.reason or f"expected {self.expected}; seen: {self.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What all checks of a run found; as a string, for people.

    report = await check(["./bin/worker"])
    assert report.passed, str(report)
    """

    target: str
    """What was checked."""
    results: Sequence[Result]
    """In the order of a worker's life."""
    seconds: float

    @property
    def passed(self) -> bool:
        """Something was checked, and no check at level must has failed."""
        return self.passes(Level.MUST)

    def passes(self, bar: Level) -> bool:
        """Something was checked, and no check at this level, or a higher one, has failed."""
        failed = any(result.check.level.counts_at(bar) for result in self.failed)
        return self.made and not failed

    @property
    def made(self) -> bool:
        """Not all checks were skipped."""
        return len(self.of(Outcome.SKIPPED)) < len(self.results)

    @property
    def failed(self) -> list[Result]:
        """What failed, at whatever level."""
        return self.of(Outcome.FAILED)

    def unproven(self, bar: Level = Level.MUST) -> list[Result]:
        """What was skipped at this level, or a higher one: nobody knows whether it holds."""
        return [result for result in self.of(Outcome.SKIPPED) if result.check.level.counts_at(bar)]

    def of(self, outcome: Outcome) -> list[Result]:
        """The results with an outcome."""
        return [result for result in self.results if result.outcome is outcome]

    def score(self) -> dict[Level, dict[Outcome, int]]:
        """How many checks of each level have each outcome."""
        return {
            level: {
                outcome: sum(result.check.level is level for result in self.of(outcome))
                for outcome in Outcome
            }
            for level in Level
        }

    def document(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "target": self.target,
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "score": self.score(),
            "checks": [
                {
                    **described(result.check),
                    "outcome": result.outcome,
                    "expected": result.expected,
                    "seen": result.seen,
                    "output": list(result.output),
                    "reason": result.reason,
                    "seconds": round(result.seconds, 3),
                }
                for result in self.results
            ],
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"checked {self.target}"
        for level in Level:
            failed = [result for result in self.failed if result.check.level is level]
            yield from _failures(level, failed)
        yield from _grouped("passed", self.of(Outcome.PASSED))
        skipped = self.of(Outcome.SKIPPED)
        if skipped:
            yield "\nskipped"
            yield from (f"  {result.check.id}: {result.reason}" for result in skipped)
        yield f"\n{self._score()}"

    def _score(self) -> str:
        parts = []
        for level, counts in self.score().items():
            if count := sum(counts.values()):
                skipped = counts[Outcome.SKIPPED]
                unproven = f" ({skipped} not proven)" if skipped else ""
                parts.append(f"{level} {counts[Outcome.PASSED]} of {count}{unproven}")
        if not self.made:
            return f"nothing was checked: all of it was skipped; {self.seconds:.1f} s"
        verdict = "passed" if self.passed else "failed"
        return f"{verdict}: {', '.join(parts)}; {self.seconds:.1f} s"


def described(check: Check) -> dict[str, Any]:
    """What a check is, for JSON."""
    return {
        "id": check.id,
        "group": check.group,
        "level": check.level,
        "claim": check.claim,
        "why": check.why,
        "requirements": list(check.proves),
    }


def _failures(level: Level, failed: Sequence[Result]) -> Iterator[str]:
    """Those with the same evidence are told together: one fault mostly fails many checks."""
    told: dict[str, list[Result]] = {}
    for result in failed:
        told.setdefault(_OF_ONE_LAUNCH.sub("", result.text), []).append(result)
    for first, *others in told.values():
        yield f"\nFAILED {level} {first.check.id}: {first.check.claim}"
        yield _indented("why", f"{first.check.why} ({first.check.where})")
        yield _indented("expected", first.expected)
        yield _indented("seen", first.seen)
        if first.output:
            yield _indented("output", "\n".join(first.output))
        if others:
            yield _indented("so do", ", ".join(result.check.id for result in others))


def _indented(name: str, text: str) -> str:
    head = f"  {name}:".ljust(13)
    return head + textwrap.indent(text, " " * 13).lstrip()


def _grouped(title: str, results: Sequence[Result]) -> Iterator[str]:
    if results:
        yield f"\n{title}"
    for group, members in groupby(results, lambda result: result.check.group):
        ids = ", ".join(result.check.id for result in members)
        yield textwrap.fill(
            ids,
            width=110,
            initial_indent=f"  {group}: ".ljust(17),
            subsequent_indent=" " * 17,
            break_on_hyphens=False,
        )
