from typing import get_args

import pytest

from hsu_worker.errors import HsuError
from hsu_worker.gen import hsu_master as wire
from hsu_worker.master.event import Crash, Event, Kind
from hsu_worker.master.logs import LogBatch, LogLine
from hsu_worker.master.messages import (
    event_message,
    lines_message,
    status_message,
    to_event,
    to_lines,
    to_status,
)
from hsu_worker.master.policy import Phase
from hsu_worker.master.unit_status import ReplicaStatus, UnitStatus, Usage

CRASHES = (
    None,
    Crash(text="exit code 0", code=0),
    Crash(
        text="killed by SIGSEGV",
        signal=11,
        calls=3,
        peak_memory=1 << 33,
        uptime=12.25,
        output=("one", "two"),
    ),
)


def status(phase: Phase, retry_in: float | None, pid: int | None = 7) -> UnitStatus:
    return UnitStatus(
        unit="u",
        phase=phase,
        generation=3,
        leases=1,
        waiters=2,
        detail="pid 7",
        implements=("a.v1.A", "b.v1.B"),
        failure="exit code 3",
        retry_in=retry_in,
        pid=pid,
        starts=4,
        trigger="call",
        usage=None if pid is None else Usage(memory=1 << 40, cpu=0.25),
        replicas=tuple(
            ReplicaStatus(phase=phase, generation=each, leases=1, detail="pid 7", pid=pid)
            for each in (3, 2)
        ),
    )


@pytest.mark.parametrize("crash", CRASHES)
@pytest.mark.parametrize("kind", get_args(Kind))
def test_an_event_of_every_kind_comes_back_as_it_was(kind: Kind, crash: Crash | None) -> None:
    event = Event(
        unit="u",
        generation=2,
        kind=kind,
        trigger="call",
        detail="ö and more",
        seconds=0.125,
        fraction=0.5,
        crash=crash,
    )
    assert event == to_event(wire.UnitEvent.FromString(event_message(event).SerializeToString()))


@pytest.mark.parametrize("retry_in", [None, 0.0, 1.5])
@pytest.mark.parametrize("phase", Phase)
def test_a_status_of_every_phase_comes_back_as_it_was(phase: Phase, retry_in: float | None) -> None:
    for told in (status(phase, retry_in), status(phase, retry_in, pid=None)):
        sent = wire.UnitStatus.FromString(status_message(told).SerializeToString())
        assert told == to_status(sent)


def test_a_unit_that_is_not_tried_again_by_itself_has_no_time_for_it() -> None:
    assert to_status(status_message(status(Phase.FAULTED, float("inf")))).retry_in is None


def test_lines_come_back_as_they_were() -> None:
    batch = LogBatch(7, (LogLine(8, 1700000000.123456, 1, "stderr", "ö"),))
    assert batch == to_lines(lines_message(batch))


def test_what_only_a_newer_master_can_tell_is_refused() -> None:
    message = status_message(status(Phase.READY, None))
    message.phase = 99  # type: ignore[assignment]
    with pytest.raises(HsuError) as refused:
        to_status(message)
    assert "the master told Phase 99: it is newer; update hsu-worker here" == str(refused.value)
