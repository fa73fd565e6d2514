"""What happened to one unit: kept for whoever asks why, logged, and told."""

import logging
from collections import deque
from collections.abc import Callable

from hsu_worker.master import policy
from hsu_worker.master.event import ALARMING, Crash, Event, Kind

log = logging.getLogger(__name__)

#: Events that are kept of each unit.
KEPT = 100

#: What stops a worker that nobody wanted to end.
UNWANTED = ("exit", "start", "adopt", "liveness")


class History:
    """The last events of a unit.

    Args:
        unit: Its name.

        tell: Takes every event, progress included.
    """

    def __init__(self, unit: str, tell: Callable[[Event], None]) -> None:
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.starts = 0
        """How often it was started."""
        self.trigger = ""
        """What caused its last start."""
        self._unit = unit
        self._tell = tell

    def add(
        self,
        generation: int,
        kind: Kind,
        trigger: str,
        detail: str,
        *,
        seconds: float = 0.0,
        crash: Crash | None = None,
    ) -> None:
        """Keep, log and tell an event."""
        event = Event(
            unit=self._unit,
            generation=generation,
            kind=kind,
            trigger=trigger,
            detail=detail,
            seconds=seconds,
            crash=crash,
        )
        self.events.append(event)
        if kind in ("starting", "swapping"):
            self.starts, self.trigger = self.starts + 1, trigger
        level = logging.WARNING if kind in ALARMING else logging.INFO
        text = f"{kind}: {detail}" if detail else kind
        log.log(level, "unit %s (generation %d): %s", self._unit, generation, text)
        self._tell(event)

    def left_over(self, why: str) -> None:
        """Keep and tell that what an earlier master left is not adopted; the log has it."""
        event = Event(unit=self._unit, generation=0, kind="stopped", trigger="leftover", detail=why)
        self.events.append(event)
        self._tell(event)

    def stop_begins(self, stop: policy.Stop) -> Kind:
        """Tell why something is ended, unless its end tells it; returns what is told of the end."""
        match stop.trigger:
            case "exit":
                return "exited"
            case "start" | "adopt":
                return "failed"
            case "liveness":
                self.add(stop.generation, "unresponsive", "liveness", stop.why)
            case trigger:
                self.add(stop.generation, "stopping", trigger, stop.why)
        return "stopped"

    def progress(self, generation: int, fraction: float, text: str) -> None:
        """Tell how far a start is; nobody asks for it later."""
        event = Event(
            unit=self._unit,
            generation=generation,
            kind="progress",
            trigger="start",
            detail=text,
            fraction=fraction,
        )
        self._tell(event)
