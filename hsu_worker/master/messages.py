"""What the control service tells, as messages, and back."""

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from hsu_worker.errors import HsuError
from hsu_worker.gen import hsu_master as wire
from hsu_worker.master.changes import Changes
from hsu_worker.master.event import Crash, Event, Kind
from hsu_worker.master.logs import LogBatch, LogLine
from hsu_worker.master.policy import Phase
from hsu_worker.master.unit_status import ReplicaStatus, UnitStatus, Usage

_KIND = "EVENT_KIND_"
_PHASE = "PHASE_"


def status_message(status: UnitStatus) -> wire.UnitStatus:
    """A status, to be sent."""
    return wire.UnitStatus(
        unit=status.unit,
        phase=phase_number(status.phase),
        generation=status.generation,
        leases=status.leases,
        waiters=status.waiters,
        detail=status.detail,
        implements=status.implements,
        failure=status.failure,
        # Never is not a time.
        retry_in=None
        if status.retry_in is None or math.isinf(status.retry_in)
        else _duration(status.retry_in),
        pid=status.pid or 0,
        starts=status.starts,
        trigger=status.trigger,
        usage=None
        if status.usage is None
        else wire.Usage(memory=status.usage.memory, cpu=_duration(status.usage.cpu)),
        replicas=[
            wire.Replica(
                phase=phase_number(each.phase),
                generation=each.generation,
                leases=each.leases,
                detail=each.detail,
                pid=each.pid or 0,
            )
            for each in status.replicas
        ],
    )


def to_status(message: wire.UnitStatus) -> UnitStatus:
    """A status that came."""
    return UnitStatus(
        unit=message.unit,
        phase=_phase(message.phase),
        generation=message.generation,
        leases=message.leases,
        waiters=message.waiters,
        detail=message.detail,
        implements=tuple(message.implements),
        failure=message.failure,
        retry_in=_seconds(message.retry_in) if message.HasField("retry_in") else None,
        pid=message.pid or None,
        starts=message.starts,
        trigger=message.trigger,
        usage=Usage(memory=message.usage.memory, cpu=_seconds(message.usage.cpu))
        if message.HasField("usage")
        else None,
        replicas=tuple(
            ReplicaStatus(
                phase=_phase(each.phase),
                generation=each.generation,
                leases=each.leases,
                detail=each.detail,
                pid=each.pid or None,
            )
            for each in message.replicas
        ),
    )


def event_message(event: Event) -> wire.UnitEvent:
    """An event, to be sent."""
    crash = event.crash
    return wire.UnitEvent(
        unit=event.unit,
        generation=event.generation,
        kind=_number(wire.EventKind, event.kind, _KIND),
        trigger=event.trigger,
        evidence=event.detail,
        time=_timestamp(event.time),
        took=_duration(event.seconds),
        fraction=event.fraction,
        crash=None
        if crash is None
        else wire.Crash(
            code=crash.code,
            signal=crash.signal or 0,
            text=crash.text,
            calls=crash.calls,
            peak_memory=crash.peak_memory,
            uptime=_duration(crash.uptime),
            output=crash.output,
        ),
    )


def to_event(message: wire.UnitEvent) -> Event:
    """An event that came."""
    crash = message.crash
    return Event(
        unit=message.unit,
        generation=message.generation,
        kind=cast("Kind", _word(wire.EventKind, message.kind, _KIND)),
        trigger=message.trigger,
        detail=message.evidence,
        seconds=_seconds(message.took),
        fraction=message.fraction,
        time=_since_epoch(message.time),
        crash=Crash(
            text=crash.text,
            code=crash.code if crash.HasField("code") else None,
            signal=crash.signal or None,
            calls=crash.calls,
            peak_memory=crash.peak_memory,
            uptime=_seconds(crash.uptime),
            output=tuple(crash.output),
        )
        if message.HasField("crash")
        else None,
    )


def lines_message(batch: LogBatch) -> wire.LogsResponse:
    """Lines of a log, to be sent."""
    return wire.LogsResponse(dropped=batch.dropped, lines=[_line(line) for line in batch.lines])


def to_lines(message: wire.LogsResponse) -> LogBatch:
    """Lines of a log that came."""
    lines = (
        LogLine(line.sequence, _since_epoch(line.time), line.generation, line.source, line.text)
        for line in message.lines
    )
    return LogBatch(message.dropped, tuple(lines))


def phase_number(phase: Phase) -> wire.Phase:
    """A phase, to be sent."""
    number: wire.Phase = _number(wire.Phase, phase, _PHASE)
    return number


def _phase(number: int) -> Phase:
    return Phase(_word(wire.Phase, number, _PHASE))


def _line(line: LogLine) -> wire.LogLine:
    return wire.LogLine(
        sequence=line.sequence,
        time=_timestamp(line.time),
        generation=line.generation,
        source=line.source,
        text=line.text,
    )


def changes_message(changes: Changes) -> wire.ReloadResponse:
    """What a reload has changed, to be sent."""
    return wire.ReloadResponse(**asdict(changes))


def to_changes(message: wire.ReloadResponse) -> Changes:
    """What a reload has changed, as it came."""
    return Changes(**{each.name: tuple(getattr(message, each.name)) for each in fields(Changes)})


def _number(enum: Any, word: str, prefix: str) -> Any:
    return enum.Value(prefix + word.upper().replace(" ", "_"))


def _word(enum: Any, number: int, prefix: str) -> str:
    known: Sequence[int] = enum.values()
    if number not in known:
        # A newer master may tell of what this version can't name.
        name = enum.DESCRIPTOR.name
        raise HsuError(f"the master told {name} {number}: it is newer; update hsu-worker here")
    word: str = enum.Name(number).removeprefix(prefix)
    return word.lower().replace("_", " ")


def _timestamp(seconds: float) -> Timestamp:
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))


def _since_epoch(timestamp: Timestamp) -> float:
    return timestamp.seconds + timestamp.nanos / 1e9


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9
