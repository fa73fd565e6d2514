"""What a master tells of its units: starts, stops, crashes, each with its cause."""

import time
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "starting",
    "progress",
    "ready",
    "stopping",
    "stopped",
    "exited",
    "failed",
    "unresponsive",
    "backoff",
    "faulted",
    "held",
    "swapping",
    "swapped",
    "swap failed",
    "warm",
]

#: What goes wrong with a worker; logged as warnings.
ALARMING: frozenset[Kind] = frozenset(
    ("exited", "failed", "unresponsive", "faulted", "swap failed")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """What is known of a process that ended by itself, or had to be killed."""

    text: str
    """How it ended, in words, such as `killed by SIGSEGV`."""
    code: int | None = None
    """Its exit code; None: a signal ended it, or nobody could learn it."""
    signal: int | None = None
    calls: int = 0
    """The calls that it had."""
    peak_memory: int = 0
    """The most memory that it ever had, in bytes; 0 is unknown."""
    uptime: float = 0.0
    """Seconds since its launch; 0 is unknown: nobody saw its end."""
    output: tuple[str, ...] = ()
    """The last lines of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a unit."""

    unit: str
    generation: int
    """0: what an earlier master left, and this one doesn't adopt."""
    kind: Kind
    trigger: str = ""
    """What caused it: call, preload, asked, idle, exit, start, liveness, restart, swap, stand-in,
    dependency, evicted, memory, reload, breaker, adopt, leftover, or master when the master leaves.
    """
    detail: str = ""
    """Why, or with what, in a few words: the evidence."""
    seconds: float = 0.0
    """How long it took, where that means something; else 0."""
    fraction: float = 0.0
    """How far a start is, from 0 to 1; for `progress`."""
    crash: Crash | None = None
    time: float = field(default_factory=time.time)
    """Seconds since the epoch."""
