"""Log records as a host of go-plugin reads them from stderr: one line of JSON each, as hclog writes."""

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from hsu_worker.serving.logring import exception_of, fields_of

#: Bytes of a line, with its LF: a host takes what is longer for several lines, and for no JSON.
MAX_LINE: Final = 64 << 10
#: Characters of a message and of a traceback that fit into one, whatever they are written as.
MAX_TEXT: Final = 2 << 10


class HclogHandler(logging.Handler):
    """Writes each record to a descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            line = to_line(record)
        except Exception:
            self.handleError(record)
            return
        try:
            os.write(self._descriptor, line)
        except OSError:
            # Who read it is gone.
            return


def to_line(record: logging.LogRecord) -> bytes:
    """The line of a record, with its LF. A record that is too long loses its end and its fields."""
    line = _line(record, MAX_LINE, fields_of(record))
    return line if len(line) < MAX_LINE else _line(record, MAX_TEXT, {})


def _line(record: logging.LogRecord, most: int, fields: Mapping[str, str]) -> bytes:
    entry = {
        "@level": _level(record.levelno),
        "@message": _cut(record.getMessage(), most),
        "@module": record.name,
        "@timestamp": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    if exception := exception_of(record):
        entry["exception"] = _cut(exception, most)
    entry |= {key: value for key, value in fields.items() if not key.startswith("@")}
    return json.dumps(entry).encode() + b"\n"


def _level(level: int) -> str:
    names = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"))
    return next(
        (name for least, name in names if level >= least),
        "debug" if level >= logging.DEBUG else "trace",
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} [cut: {len(text)} characters]"
