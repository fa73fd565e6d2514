"""How log records are written to stderr: as text for people, or as JSON for machines."""

import logging
import os
from typing import Final, Literal, TextIO, TypeAlias

#: For people, or one JSON object per line.
LogFormat: TypeAlias = Literal["text", "json"]

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
        # A launched worker writes text.
        from hsu_worker.worker.json_format import JsonFormatter

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


def _shows_colours(stream: TextIO) -> bool:
    # https://no-color.org
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
