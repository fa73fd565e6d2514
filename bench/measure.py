"""Samples, and what is said of them."""

import platform
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import google.protobuf
import grpc

ROOT = Path(__file__).parents[1]


@dataclass(kw_only=True)
class Row:
    """One line of the table."""

    name: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    """By series. A series `control` is compared with `control again` and with the others."""
    counts: dict[str, int] = field(default_factory=dict)
    """What is counted, not timed, such as calls lost."""
    topic: str = ""
    """What it was measured with."""
    measured: str = ""
    """When, of which commit, and how thoroughly."""

    def add(self, series: str, value: float) -> None:
        self.samples.setdefault(series, []).append(value)

    def ratio(self, series: str) -> "Spread | None":
        """Of a series to the control, round by round; None: there is no control."""
        return spread(self.ratios(series))

    def ratios(self, series: str) -> list[float]:
        """Those of all rounds."""
        return [value / base for value, base in self._beside("control", series)]

    def difference(self, series: str, base: str = "control") -> "Spread | None":
        """What a series takes more than another one, round by round."""
        return spread([value - base for value, base in self._beside(base, series)])

    def figure(self, series: str) -> "Spread | None":
        """Of a series itself."""
        return spread(self.samples.get(series, ()))

    def _beside(self, base: str, series: str) -> list[tuple[float, float]]:
        bases, values = self.samples.get(base), self.samples.get(series)
        return [*zip(values, bases, strict=True)] if bases and values else []

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "samples": self.samples,
            "counts": self.counts,
            "topic": self.topic,
            "measured": self.measured,
        }


class Spread(NamedTuple):
    """What many measurements say."""

    median: float
    least: float
    most: float

    def text(self, unit: str = "") -> str:
        """The median, and from where to where it goes."""
        unit = f" {unit}" if unit else ""
        return f"{short(self.median)}{unit} ({short(self.least)} to {short(self.most)})"


def spread(values: Sequence[float]) -> Spread | None:
    """None: there are no values."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


#: Measures once: a figure for each row that is measured at the same time.
Measure: TypeAlias = Callable[[], Awaitable[Sequence[float]]]


async def rounds(rows: Sequence[Row], count: int, series: Mapping[str, Measure]) -> None:
    """Measure all series in turns; the control first and last of each round."""
    turns = [*series.items()]
    if "control" in series:
        turns.append(("control again", series["control"]))
    for _ in range(count):
        for name, measure in turns:
            for row, value in zip(rows, await measure(), strict=True):
                row.add(name, value)


def _git(*words: str) -> str:
    """What git answers; nothing where there is none of its folders."""
    command = ["git", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        cpu = f"{len(names)} x {names[0].partition(':')[2].strip()}" if names else cpu
    commit = _git("describe", "--always")
    # What was measured before is kept in the tree, and changes nothing.
    if _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results"):
        commit += "-dirty"
    return {
        "cpu": cpu,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "grpcio": grpc.__version__,
        "protobuf": google.protobuf.__version__,
        "commit": commit or "unknown",
    }


def short(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
