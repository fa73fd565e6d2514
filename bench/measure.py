"""Samples, and what is said of them."""

import platform
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

    def add(self, series: str, value: float) -> None:
        self.samples.setdefault(series, []).append(value)

    def ratios(self) -> dict[str, tuple[float, float, float]]:
        """Of each series to the control, round by round: median, least, most."""
        control = self.samples.get("control")
        if not control:
            return {}
        return {
            series: _spread([value / base for value, base in zip(values, control, strict=True)])
            for series, values in self.samples.items()
            if series != "control"
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "samples": self.samples,
            "counts": self.counts,
        }


def _spread(values: list[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


async def rounds(
    row: Row, count: int, series: Mapping[str, Callable[[], Awaitable[float]]]
) -> None:
    """Measure all series in turns; the control first and last of each round."""
    for _ in range(count):
        for name, measure in series.items():
            row.add(name, await measure())
        if "control" in series:
            row.add("control again", await series["control"]())


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        cpu = f"{len(names)} x {names[0].partition(':')[2].strip()}" if names else cpu
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607  whichever git there is
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return {
        "cpu": cpu,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "grpcio": grpc.__version__,
        "protobuf": google.protobuf.__version__,
        "commit": commit.stdout.strip() or "unknown",
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | figure | ratio to the control (least to most) |", "| --- | --- | --- |"]
    for each in rows:
        row = Row(**each)
        ratios = row.ratios()
        for series, values in row.samples.items():
            middle, least, most = _spread(values)
            figure = f"{_figure(middle)} {row.unit} ({_figure(least)} to {_figure(most)})"
            ratio = "{:.2f} ({:.2f} to {:.2f})".format(*ratios[series]) if series in ratios else ""
            lines.append(f"| {row.name}: {series} | {figure} | {ratio} |")
        lines += [f"| {row.name}: {name} | {count} | |" for name, count in row.counts.items()]
    return "\n".join(lines) + "\n"


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
