"""What the figures have to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

from bench.measure import Row, Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was measured of a goal."""

    figure: Spread
    bound: float
    lost: int | None = None
    """Of what was to be measured; None: nothing can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One figure, and its bound: the median counts."""

    text: str
    row: str
    series: str
    most: float | None = None
    """None: what the control itself was in three of four rounds, measured twice."""
    least: float | None = None
    against: str = ""
    """The series from which it may differ so much; without one the ratio to the control counts."""
    row_of_control: str = ""
    """The row that has the control, when it is another one."""
    unit: str = ""
    """Of the figure; empty: it is a ratio."""
    lost: str = ""
    """The row's count of what the figure leaves out."""

    def found(self, rows: Sequence[Row]) -> Found | None:
        """What was measured; None: nothing."""
        by_name = {row.name: row for row in rows}
        row = by_name.get(self.row)
        if row is None:
            return None
        if self.row_of_control:
            other = by_name[self.row_of_control].samples["control"]
            row = Row(name=row.name, unit=row.unit, samples={**row.samples, "control": other})
        if self.against:
            figure = row.difference(self.series, self.against)
        else:
            figure = row.figure(self.series) if self.unit else row.ratio(self.series)
        if figure is None:
            return None
        bound = self.most if self.least is None else self.least
        if bound is None:
            # Not the worst of them: the noisier the machine was, the more would be met.
            bound = quantiles(row.ratios("control again"), n=4, method="inclusive")[-1]
        return Found(figure=figure, bound=bound, lost=row.counts.get(self.lost))

    def met(self, found: Found) -> bool:
        """Whether it is reached."""
        if self.least is not None:
            return found.figure.median >= self.least
        return found.figure.median <= found.bound

    def bound_text(self, found: Found | None) -> str:
        """What it may be, as people write it."""
        unit = f" {self.unit}" if self.unit else ""
        if self.least is not None:
            return f"at least {self.least:,g}{unit}"
        if self.most is None:
            return f"the noise{'' if found is None else f', {found.bound:.2f}'}"
        return f"{self.most:g}{unit}"


_START: Final = "a cold start, from the call to its answer"
_CROWD: Final = "50 workers at once"

GOALS: Final = (
    Goal(text="spawned, against a bare spawned one", row=_START, series="spawned", most=1.10),
    Goal(text="forked, against a bare spawned one", row=_START, series="forked", most=0.15),
    Goal(
        text="forked, with an app that takes 500 ms to import, preimported",
        row=_START,
        series="preimported",
        most=0.15,
    ),
    Goal(
        # Both with their service imported before the fork.
        text="forked, preimported, on top of a bare forked one",
        row=_START,
        series="preimported",
        against="bare, forked",
        most=5,
        unit="ms",
    ),
    Goal(text="prewarmed, against a bare spawned one", row=_START, series="prewarmed", most=0.03),
    Goal(
        text="50 forked at once: all have answered, against 50 bare spawned ones",
        row=f"{_CROWD}: all have answered",
        series="forked",
        most=0.12,
    ),
    Goal(
        text="50 forked at once: the first has answered, against all of 50 bare spawned ones",
        row=f"{_CROWD}: the first has answered",
        row_of_control=f"{_CROWD}: all have answered",
        series="forked",
        most=0.02,
    ),
    Goal(
        text="PSS of an idle forked one of 50, against a bare spawned one of 50",
        row=f"{_CROWD}, idle: PSS of each",
        series="forked",
        most=0.33,
    ),
    Goal(
        text="a unary call without grpc, on top of a bare handler",
        row="a unary call without grpc, CPU",
        series="ours",
        against="control",
        most=1,
        unit="µs",
    ),
    *(
        Goal(
            text=f"unary calls of {size}, {callers}, against a bare worker's",
            row=f"unary calls of {size}, {callers}: median",
            series="worker",
        )
        for size in ("10 B", "1 KB", "100 KB")
        for callers in ("1 caller", "16 callers", "64 callers")
    ),
    Goal(
        text="a master's lease, on top of a channel that is simply there",
        row="a lease taken and given back, CPU",
        series="lease",
        against="control",
        most=10,
        unit="µs",
    ),
    Goal(
        text="log records that one reader of a worker gets, of 20,000 in each round",
        row="log records that are read while they are logged",
        series="1 reader",
        least=100_000,
        unit="records/s",
        lost="1 reader: dropped",
    ),
    Goal(
        text="a logging call, on top of one to nowhere",
        row="a logging call, CPU",
        series="into the ring",
        against="control",
        most=0.5,
        unit="µs",
    ),
    Goal(
        text="stop of an idle worker",
        row="stop of an idle worker",
        series="forked",
        most=15,
        unit="ms",
    ),
)
