"""Where the log records and the output of a worker go."""

import io
import logging
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, TextIO

from hsu_worker.serving.logring import LogRing, RingHandler
from hsu_worker.worker import blocked_loop
from hsu_worker.worker.log_format import LogFormat, formatter

_PACKAGE: Final = __name__.partition(".")[0]


class Recording:
    """Puts log records into a ring.

    Args:
        ring: Gets every record at or above `level`.

        level: As `logging` names it; the root logger's, until the user's own code sets another.

        beside: Gets every record, too.

        beside_only: A logger whose records the ring does not get: whoever reads both has them once.
    """

    def __init__(
        self,
        ring: LogRing,
        beside: logging.Handler,
        *,
        level: str = "INFO",
        beside_only: str | None = None,
    ) -> None:
        kept = RingHandler(ring)
        kept.addFilter(lambda record: record.name != beside_only)
        self._handlers = (kept, beside)
        logging.getLogger().setLevel(level)
        self.install()

    def install(self) -> None:
        """Add the handlers, again if somebody's own configuration has removed them."""
        root = logging.getLogger()
        for handler in self._handlers:
            if handler not in root.handlers:
                root.addHandler(handler)
        # `logging.config.dictConfig` silences every logger that it finds, unless told otherwise.
        for name in root.manager.loggerDict:
            if name.partition(".")[0] == _PACKAGE:
                logging.getLogger(name).disabled = False


def to_stderr(
    log_format: LogFormat = "text", *, failures_only: bool = False
) -> "logging.StreamHandler[TextIO]":
    """Writes records to stderr.

    Args:
        log_format: How they are written.

        failures_only: Only what must not be lost when the process ends at once, where a master reads
            the ring: the tracebacks of failures and what blocks the loop, which sends nothing then.
    """
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(formatter(log_format, sys.stderr))
    if failures_only:
        stderr.addFilter(
            lambda record: (
                (record.levelno >= logging.ERROR and bool(record.exc_info))
                or record.name == blocked_loop.__name__
            )
        )
    return stderr


@contextmanager
def tee_output(ring: LogRing) -> Generator[None, None, None]:
    """Put the lines of stdout and stderr into a ring too, as the loggers "stdout" and "stderr"."""
    before = sys.stdout, sys.stderr
    sys.stdout = _Tee(sys.stdout, ring, "stdout", logging.INFO)
    sys.stderr = _Tee(sys.stderr, ring, "stderr", logging.WARNING)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout, sys.stderr = before


class _Tee(io.TextIOBase):
    """Writes where the stream wrote before, and each whole line into the ring."""

    def __init__(self, stream: TextIO, ring: LogRing, logger: str, level: int) -> None:
        super().__init__()
        self._stream = stream
        self._ring = ring
        self._logger = logger
        self._level = level
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str, /) -> int:
        """Write, and keep what is a whole line now."""
        written = self._stream.write(text)
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            if len(self._begun) > self._ring.line_bytes:
                lines.append(self._begun)
                self._begun = ""
        for line in lines:
            for piece in _pieces(line.rstrip("\r"), self._ring.line_bytes):
                self._ring.append(self._level, self._logger, piece)
        return written

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        # Such as `reconfigure`, which not every stream has.
        return getattr(self._stream, name)

    @property
    def buffer(self) -> BinaryIO:
        """Bytes written here are seen by nobody but the stream."""
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors


def _pieces(line: str, most: int) -> list[str]:
    # A character has at most four bytes.
    step = most if line.isascii() else max(1, most // 4)
    return [line[start : start + step] for start in range(0, len(line), step)] or [""]
