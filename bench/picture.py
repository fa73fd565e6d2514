"""Bars as SVG: text is text, and the colours follow the reader's light or dark mode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from bench.measure import Row, Spread, short

WIDTH: Final = 720
LABELS: Final = 200
FIGURES: Final = 170
BAR: Final = 18
STEP: Final = 28
TOP: Final = 44

STYLE: Final = """\
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .ours { fill: #2f6fde; }
  .bare { fill: #9aa4b2; }
  line { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .ours { fill: #5b9bff; }
    .bare { fill: #6e7681; }
    line { stroke: #e6edf3; }
  }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Bars of one row."""

    file: str
    title: str
    row: str
    bars: Mapping[str, str]
    """Series, and what each is called here."""

    def draw(self, rows: Sequence[Row]) -> str:
        """The SVG; empty when the row was not measured."""
        row = next((each for each in rows if each.name == self.row), None)
        if row is None:
            return ""
        found = {series: row.figure(series) for series in self.bars}
        shown = {self.bars[series]: each for series, each in found.items() if each is not None}
        bare = {
            label for series, label in self.bars.items() if series in ("control", "bare, forked")
        }
        return _svg(self.title, shown, bare, row.unit)


PICTURES: Final = (
    Picture(
        file="starts.svg",
        title="From a call to its answer, cold",
        row="a cold start, from the call to its answer",
        bars={
            "control": "bare grpc.aio, spawned",
            "spawned": "spawned",
            "bare, forked": "bare grpc.aio, forked",
            "forked": "forked",
            "preimported": "forked, 500 ms to import",
            "prewarmed": "standing by",
        },
    ),
    Picture(
        file="storm.svg",
        title="50 workers at once, until all have answered",
        row="50 workers at once: all have answered",
        bars={
            "control": "bare grpc.aio, spawned",
            "spawned": "spawned",
            "bare, forked": "bare grpc.aio, forked",
            "forked": "forked",
        },
    ),
    Picture(
        file="memory.svg",
        title="Memory of an idle worker, one of 50 (PSS)",
        row="50 workers at once, idle: PSS of each",
        bars={
            "control": "bare grpc.aio, spawned",
            "spawned": "spawned",
            "bare, forked": "bare grpc.aio, forked",
            "forked": "forked",
        },
    ),
)


def _svg(title: str, bars: Mapping[str, Spread], bare: set[str], unit: str) -> str:
    height = TOP + STEP * len(bars) + 8
    scale = (WIDTH - LABELS - FIGURES) / max(each.most for each in bars.values())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}</style>",
        f'<text class="title" x="8" y="24">{escape(title)}</text>',
    ]
    for number, (label, found) in enumerate(bars.items()):
        y = TOP + STEP * number
        middle, text = y + BAR / 2, y + BAR - 4
        width = found.median * scale
        least, most = (LABELS + value * scale for value in found[1:])
        kind = "bare" if label in bare else "ours"
        figure = f"{short(found.median)} {unit}"
        lines += [
            f'<text x="{LABELS - 8}" y="{text}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}"/>',
            f'<line x1="{least:.1f}" y1="{middle}" x2="{most:.1f}" y2="{middle}"/>',
            f'<text x="{most + 8:.1f}" y="{text}">{escape(figure)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
