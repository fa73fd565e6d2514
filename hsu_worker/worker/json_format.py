"""Log records as JSON, for machines."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from hsu_worker.serving.logring import exception_of, extra_of
from hsu_worker.wire.metadata import IDENTIFIED


class JsonFormatter(logging.Formatter):
    """One JSON object per record, in ASCII.

    The keys are `time` (UTC), `level`, `logger` and `message`; `call`, the id of the call in which it
    was logged; `fields`, what came by `extra=`; `exception`, a traceback. The last three are there
    when there is something to tell.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        call = IDENTIFIED.get(None)
        line: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "call": "" if call is None else call.id,
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
