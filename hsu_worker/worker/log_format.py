"""How log records are written to stderr: as text for people, or as JSON for machines."""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from hsu_worker.serving.logring import exception_of, extra_of
from hsu_worker.wire.metadata import CURRENT_CALL_ID
from hsu_worker.worker.options import LogFormat

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_COLOURED: Final = "\x1b[2m%(asctime)s\x1b[0m %(levelname)s %(name)s: %(message)s"

#: As terminals number them: grey, green, yellow, red, white on red.
_COLOURS: Final = {
    logging.DEBUG: "2",
    logging.INFO: "32",
    logging.WARNING: "33",
    logging.ERROR: "31",
    logging.CRITICAL: "97;41",
}


def formatter(log_format: LogFormat, stream: TextIO) -> logging.Formatter:
    """The formatter for records that go to a stream; colours are for terminals."""
    if log_format == "json":
        return JsonFormatter()
    return ColourFormatter(_COLOURED) if _shows_colours(stream) else logging.Formatter(_FORMAT)


class ColourFormatter(logging.Formatter):
    """Text whose level stands out."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """As ever; other handlers get the record as it was."""
        colour = _COLOURS.get(record.levelno)
        if colour is None:
            return super().formatMessage(record)
        shown = logging.makeLogRecord(vars(record))
        shown.levelname = f"\x1b[{colour}m{record.levelname}\x1b[0m"
        return super().formatMessage(shown)


class JsonFormatter(logging.Formatter):
    """One JSON object per record, in ASCII.

    The keys are `time` (UTC), `level`, `logger` and `message`; `call`, the id of the call in which it
    was logged; `fields`, what came by `extra=`; `exception`, a traceback. The last three are there
    when there is something to tell.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "call": CURRENT_CALL_ID.get(""),
            "fields": {name: _plain(value) for name, value in extra_of(record).items()},
            "exception": exception_of(record),
        }
        optional = ("call", "fields", "exception")
        return json.dumps({key: it for key, it in line.items() if it or key not in optional})


def _plain(value: Any) -> Any:
    """The value itself where JSON has it, else its text."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)
    return value


def _shows_colours(stream: TextIO) -> bool:
    # https://no-color.org
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
