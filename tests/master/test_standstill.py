"""What is told of a start that takes too long, at each of its steps."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hsu_worker.master.launcher import Worker
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.standstill import Standstill


class Start:
    """A start of 4.2 s so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, progress: str = "") -> None:
        unit = SimpleNamespace(stall=2.0, start_timeout=4.0, command=None)
        self.worker: Any = SimpleNamespace(
            unit=unit, log=UnitLog(), generation=1, handshake=None, progress=progress, pid=None
        )
        self.standstill = Standstill(cast("Worker", self.worker))
        monkeypatch.setattr(self.standstill, "_loop", self)
        self._times = [0.0, 4.2]

    def time(self) -> float:
        return self._times.pop(0) if len(self._times) > 1 else self._times[0]


async def test_between_two_steps_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    standstill = Start(monkeypatch).standstill
    late = "start timeout: not ready 4 s after its launch; raise its `start_timeout`"
    assert ("", late) == (standstill.note(), standstill.late())
    standstill.begins()
    standstill.ends()
    assert ("", late) == (standstill.note(), standstill.late())


async def test_before_the_announce_line(monkeypatch: pytest.MonkeyPatch) -> None:
    standstill = Start(monkeypatch).standstill
    standstill.begins()
    assert "no announce line for 4.2 s" == standstill.note()
    assert "start timeout: no announce line for 2 s; raise its `stall`" == standstill.stalled()
    assert "start timeout: no announce line for 4 s; raise its `start_timeout`" == standstill.late()


async def test_before_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    standstill = Start(monkeypatch).standstill
    standstill.announced = True
    standstill.begins()
    assert "no answer to the handshake for 4.2 s" == standstill.note()
    assert (
        "start timeout: no answer to the handshake for 2 s; raise its `stall`"
    ) == standstill.stalled()
    assert (
        "start timeout: not ready 4 s after its launch: no answer to the handshake for 4.2 s; "
        "raise its `start_timeout`"
    ) == standstill.late()


async def test_in_the_lifespans(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was adopted has announced itself to another master."""
    start = Start(monkeypatch)
    start.worker.handshake = object()
    start.worker.log.append(1, "stdout", "loading weights")
    start.standstill.begins()
    assert (
        "no progress of its start for 4.2 s; its last line: 'loading weights'"
    ) == start.standstill.note()
    assert (
        "start timeout: no progress of its start for 2 s; "
        "raise its `stall`, or call report_progress in its lifespan"
    ) == start.standstill.stalled()
    assert (
        "start timeout: not ready 4 s after its launch: no progress of its start for 4.2 s; "
        "raise its `start_timeout`"
    ) == start.standstill.late()


async def test_in_lifespans_that_say_how_far_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Start(monkeypatch, progress="40% reading documents")
    start.worker.handshake = object()
    start.standstill.begins()
    assert (
        "start timeout: not ready 4 s after its launch: 40% reading documents; "
        "raise its `start_timeout`"
    ) == start.standstill.late()
