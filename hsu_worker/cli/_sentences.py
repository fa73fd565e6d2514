"""Events and states as sentences."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from hsu_worker.cli._asking import plain
from hsu_worker.master.event import Crash, Event, Kind
from hsu_worker.master.policy import Phase
from hsu_worker.master.unit_status import UnitStatus

_PHASES: Final[dict[Phase, str]] = {
    Phase.ABSENT: "does not run; the next call starts it",
    Phase.STARTING: "is being started",
    Phase.READY: "answers calls",
    Phase.DRAINING: "lets its running calls end",
    Phase.STOPPING: "is being stopped",
    Phase.WARM: "has left its lifespans; the next call has it enter them again",
    Phase.BACKOFF: "waits before it is started again",
    Phase.FAULTED: "failed too often; calls are refused",
    Phase.HELD: "is held; calls are refused until it is started",
}

_KINDS: Final[dict[Kind, str]] = {
    "starting": "Generation {} is started",
    "progress": "Generation {} is being started",
    "ready": "Generation {} is ready",
    "stopping": "Generation {} is stopped",
    "stopped": "Nothing is left of generation {}",
    "exited": "Generation {} ended by itself",
    "failed": "Generation {} could not be started",
    "unresponsive": "Generation {} no longer answers, and is killed",
    "backoff": "The next start waits",
    "faulted": "Calls are refused",
    "held": "Calls are refused until it is started",
    "warm": "Generation {} has left its lifespans, and its process stays",
    "swapping": "Generation {} is started beside the one that serves",
    "swapped": "Generation {} has taken its place",
    "swap failed": "Generation {} was refused; the one that serves goes on",
}

#: What comes in a unit's place, and leaves again.
_STAND_IN: Final[dict[Kind, str]] = {
    "swapping": "Generation {} comes to stand in",
    "swapped": "Generation {} stands in",
    "swap failed": "Generation {} can't stand in; the one that serves goes on",
}

#: What an earlier master has left.
_ADOPTED: Final[dict[Kind, str]] = {
    "starting": "Generation {} is adopted",
    "failed": "Generation {} could not be adopted",
}

#: What a trigger makes of some kinds.
_OTHERWISE: Final[dict[str, dict[Kind, str]]] = {
    "stand-in": _STAND_IN,
    "adopt": _ADOPTED,
    "leftover": {"stopped": "What an earlier master left is not adopted"},
}

_TRIGGERS: Final = {
    "call": "for a call",
    "preload": "before any call",
    "asked": "on request",
    "idle": "for being idle",
    "liveness": "for its silence",
    "restart": "again",
    "swap": "for a swap",
    "dependency": "for another unit",
    "evicted": "for another unit's sake",
    "memory": "without others beside it",
    "breaker": "after too many failures",
    "reload": "for a reload",
    "master": "because the master leaves",
}

#: What these kinds say already.
_PLAIN: Final[frozenset[Kind]] = frozenset(
    ("ready", "stopped", "exited", "failed", "swapping", "swapped", "swap failed")
)

#: What a failure begins and ends with for whoever reads nothing else: the unit, and its last output.
_AROUND: Final = re.compile(
    r"the swap failed, and nothing has changed: |it can't stand in: |unit '[^']*' did not start: "
    r"|; its last output:(\n.*)?$",
    re.DOTALL,
)


def standing(status: UnitStatus) -> str:
    """How a unit stands."""
    facts = [
        f"generation {status.generation}" if status.generation else "it was never started",
        status.detail,
        f"{_count(status.leases, 'call')} running" if status.leases else "",
        f"{_count(status.waiters, 'call')} waiting" if status.waiters else "",
        next_try(status),
    ]
    first = f"{status.unit} {_PHASES[status.phase]} ({', '.join(filter(None, facts))})."
    failed = failure(status).replace("\n", "\n    ")
    return f"{first} It last failed: {failed}" if failed else first


def next_try(status: UnitStatus) -> str:
    """When it may be started again; empty when nothing stands against it."""
    return "" if status.retry_in is None else f"next try in {status.retry_in:.1f} s"


def failure(status: UnitStatus) -> str:
    """Why it last failed; what its worker wrote is in the log. Empty when it has not."""
    return _cause(status.failure)


def about(event: Event) -> str:
    """What happened, when, by what cause and with which evidence."""
    kinds = _KINDS | _OTHERWISE.get(event.trigger, {})
    text = kinds[event.kind].format(event.generation)
    first, *more = _cause(event.detail).split("\n")
    if event.trigger == "call" and first:
        text, first = f"{text} for {first}", ""
    elif event.kind not in _PLAIN and event.trigger in _TRIGGERS:
        text += f" {_TRIGGERS[event.trigger]}"
    # Of the others, it says how long the clearing up took.
    if event.kind in ("ready", "stopped") and event.trigger != "leftover":
        text += f", after {event.seconds:.2f} s"
    time = datetime.fromtimestamp(event.time).astimezone()
    lines = [
        f"{time:%Y-%m-%d %H:%M:%S}  {text}: {first}"
        if first
        else f"{time:%Y-%m-%d %H:%M:%S}  {text}."
    ]
    lines += (f"    {line}" for line in more)
    if event.crash is not None:
        lines += _capsule(event.crash, told=event.kind == "exited")
    return "\n".join(lines)


def _capsule(crash: Crash, *, told: bool) -> Iterator[str]:
    """What is known of a process; how it ended may have been told."""
    ended = "It" if told else f"{crash.text[:1].upper()}{crash.text[1:]}; it"
    peak = f", at most {crash.peak_memory / 2**20:.1f} MiB of memory" if crash.peak_memory else ""
    if crash.uptime:
        yield f"    {ended} lived {crash.uptime:.1f} s, with {_count(crash.calls, 'call')}{peak}."
    if crash.output:
        yield "    Its last output:"
        yield from (f"      {plain(line)}" for line in crash.output)


def _cause(detail: str) -> str:
    """Why, without what stands around it; its lines can't move the cursor."""
    return "\n".join(plain(line) for line in _AROUND.sub("", detail).splitlines())


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
