import json
import logging
import sys
from datetime import UTC, datetime

import pytest

from hsu_worker.worker.plugin.hclog import MAX_LINE, MAX_TEXT, to_line


def record(message: str, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "mine", "levelno": level, "msg": message, **extra})
    made.created = 1_700_000_000.25
    return made


def test_a_record_is_what_hclog_writes() -> None:
    assert (
        b'{"@level": "info", "@message": "h\\u00e9\\nllo", "@module": "mine", '
        b'"@timestamp": "2023-11-14T22:13:20.250000Z", "a": "1"}\n'
    ) == to_line(record("hé\nllo", a=1))


def test_the_time_is_read_by_the_layout_of_the_host() -> None:
    stamp = json.loads(to_line(record("x")))["@timestamp"]
    told = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert 1_700_000_000.25 == told.timestamp()
    assert 6 == len(stamp.partition(".")[2].rstrip("Z"))


def test_each_level_is_one_that_the_host_knows() -> None:
    levels = (5, 10, 20, 25, 30, 40, 50)
    assert ["trace", "debug", "info", "info", "warn", "error", "error"] == [
        json.loads(to_line(record("x", level)))["@level"] for level in levels
    ]


def test_a_traceback_is_a_field_and_no_field_takes_a_name_of_hclogs() -> None:
    try:
        int("x")
    except ValueError:
        made = record("x", exc_info=sys.exc_info())
    vars(made)["@level"] = "mine"
    line = json.loads(to_line(made))
    assert "ValueError: invalid literal" in line["exception"]
    assert "info" == line["@level"]


@pytest.mark.parametrize("sign", ["x", "é", "\N{GRINNING FACE}", "\n"])
def test_a_line_is_never_longer_than_a_host_reads(sign: str) -> None:
    made = record(sign * 100_000, exc_text=sign * 100_000, field=sign * 100_000)
    line = to_line(made)
    assert len(line) < MAX_LINE
    told = json.loads(line)
    assert sign * MAX_TEXT + " [cut: 100000 characters]" == told["@message"]
    assert "field" not in told


def test_a_line_that_fits_is_whole() -> None:
    assert "x" * 60_000 == json.loads(to_line(record("x" * 60_000)))["@message"]
