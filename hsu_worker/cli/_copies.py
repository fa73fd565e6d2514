"""Failures that a worker writes to stderr as well as into its log, lest they be lost."""

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hsu_worker.master.logs import LogLine

#: Lines of stderr among which a copy is looked for; it comes right before its record.
WINDOW: Final = 500


class Copies:
    """Tells which records of a log stderr has shown already."""

    def __init__(self) -> None:
        self._written: deque[tuple[int, str]] = deque(maxlen=WINDOW)

    def is_one(self, line: "LogLine") -> bool:
        """Whether the lines before it say all that it says. Takes each line of a log, in order."""
        if line.source == "stderr":
            self._written.append((line.generation, line.text))
            return False
        first, *more = line.text.rstrip().split("\n")
        return bool(more) and any(
            self._begins(line, first, at)
            and [(line.generation, text) for text in more]
            == list(islice(self._written, at + 1, at + 1 + len(more)))
            for at in range(len(self._written) - len(more))
        )

    def _begins(self, record: "LogLine", first: str, at: int) -> bool:
        generation, text = self._written[at]
        _, logger, message = text.partition(f" {record.source}: ")
        # The record has its fields behind that.
        return generation == record.generation and logger != "" and first.startswith(message)
