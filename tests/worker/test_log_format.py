"""How records are written to stderr."""

import io
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from hsu_worker.wire.metadata import IDENTIFIED
from hsu_worker.worker.log_format import LogFormat, formatter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(log_format: LogFormat, stream: io.StringIO, level: int = 20, **facts: Any) -> str:
    """The line of one record."""
    record = logging.makeLogRecord(
        {
            "name": "mine",
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "created": 0.25,
        }
        | {"msg": "read %d lines", "args": (3,)}
        | facts
    )
    return formatter(log_format, stream).format(record)


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_text_is_plain_in_a_pipe() -> None:
    line = written("text", io.StringIO())
    assert line.endswith(" INFO mine: read 3 lines")
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (10, "\x1b[2mDEBUG\x1b[0m"),
        (20, "\x1b[32mINFO\x1b[0m"),
        (30, "\x1b[33mWARNING\x1b[0m"),
        (40, "\x1b[31mERROR\x1b[0m"),
        (50, "\x1b[97;41mCRITICAL\x1b[0m"),
        (25, "Level 25"),
    ],
)
def test_levels_have_colours_on_a_terminal(level: int, shown: str) -> None:
    assert written("text", Terminal(), level).endswith(f" {shown} mine: read 3 lines")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colours_gets_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert "\x1b" not in written("text", Terminal())


def test_a_variable_that_is_empty_wants_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b" in written("text", Terminal())


def test_the_record_that_others_get_has_no_colours() -> None:
    record = logging.makeLogRecord({"levelno": 20, "levelname": "INFO"})
    formatter("text", Terminal()).format(record)
    assert "INFO" == record.levelname


def test_json_is_one_object_per_record() -> None:
    line = written("json", Terminal())
    assert {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "INFO",
        "logger": "mine",
        "message": "read 3 lines",
    } == json.loads(line)


def test_json_has_what_else_there_is_to_tell() -> None:
    try:
        int("boom")
    except ValueError as error:
        failure = error
    token = IDENTIFIED.set(SimpleNamespace(id="abcd1234"))
    try:
        line = written(
            *("json", io.StringIO()),
            exc_info=(ValueError, failure, failure.__traceback__),
            path="naïve\nname",
            count=3,
            where=io,
            ratio=float("nan"),
            odd="\udcff",
        )
    finally:
        IDENTIFIED.reset(token)
    told = json.loads(line)
    assert "\n" not in line
    assert line.isascii()
    assert "abcd1234" == told["call"]
    assert {
        "path": "naïve\nname",
        "count": 3,
        "where": str(io),
        "ratio": "nan",
        "odd": "\udcff",
    } == told["fields"]
    assert told["exception"].startswith("Traceback (most recent call last):\n")
    assert told["exception"].endswith("ValueError: invalid literal for int() with base 10: 'boom'")
