"""Which records `hsu-worker logs` leaves out: those that stderr has shown."""

import pytest

from hsu_worker.cli._copies import Copies
from hsu_worker.master.logs import LogLine

COPY = ("2026-12-01 01:00:00,000 ERROR my.logger: failed: 7", "Traceback:", '  File "a"', "E: 7")
RECORD = 'failed: 7\nTraceback:\n  File "a"\nE: 7'


def shown(*lines: tuple[int, str, str]) -> list[str]:
    copies = Copies()
    numbered = (LogLine(number, 0.0, *line) for number, line in enumerate(lines))
    return [line.text for line in numbered if not copies.is_one(line)]


def written(*texts: str, generation: int = 1) -> list[tuple[int, str, str]]:
    return [(generation, "stderr", text) for text in texts]


@pytest.mark.parametrize(
    "record", [RECORD, f"{RECORD}\n", RECORD.replace(" 7\n", ' 7 {"n": "1"}\n', 1)]
)
def test_a_failure_that_stderr_has_shown_is_not_shown_again(record: str) -> None:
    lines = [*written("before", *COPY, "after"), (1, "my.logger", record), (1, "stdout", "last")]
    assert ["before", *COPY, "after", "last"] == shown(*lines)


@pytest.mark.parametrize(
    "lines",
    [
        [*written(*COPY), (1, "other.logger", RECORD)],
        [*written(*COPY), (2, "my.logger", RECORD)],
        [*written(*COPY), (1, "my.logger", RECORD.replace("failed", "ended"))],
        [*written(*COPY), (1, "my.logger", RECORD.replace('"a"', '"b"'))],
        [*written(*COPY), (1, "my.logger", "failed: 7")],
        [*written(*COPY[:-1]), (1, "my.logger", RECORD)],
        [*written(COPY[0], "between", *COPY[1:]), (1, "my.logger", RECORD)],
        [(1, "my.logger", RECORD), *written(*COPY)],
    ],
)
def test_what_says_something_else_is_shown(lines: list[tuple[int, str, str]]) -> None:
    assert [text for _, _, text in lines] == shown(*lines)
