"""What a simulated unit goes through: rules, callers and what goes wrong, drawn from a seed."""

from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from hsu_worker.master.policy import Restart, Rules

#: What somebody at a terminal does.
Deed: TypeAlias = Literal[
    "stop",
    "hold",
    "start",
    "restart",
    "swap",
    "stand-in",
    "reload",
    "replace",
    "outgrow",
    "suspect",
    "need",
    "let go",
    "evict",
    "put out",
    "tick",
]

#: How a start, or a worker that runs, turns out.
Fate: TypeAlias = Literal[
    "well", "fails", "hangs", "crashes", "exits", "leaves", "sticks", "stalls", "closes"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One caller."""

    at: float
    length: float
    """Seconds that its call takes."""
    deadline: float | None = None
    """Seconds that it gives the call, from its arrival."""
    cancel: float | None = None
    """Seconds until it goes away."""
    start: bool = True
    then: int = 0
    """Calls that it makes after this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Times are in seconds."""

    rules: Rules
    calls: tuple[Planned, ...]
    deeds: tuple[tuple[float, Deed], ...] = ()
    swaps: int = 0
    """Swaps one after the other, from the first moment."""
    close: float | None = None
    """When the master leaves; None: once everything is at rest."""
    calm: float = 0.0
    """Nothing goes wrong after this."""
    start_fates: tuple[Fate, ...] = ("well",)
    warm_fates: tuple[Fate, ...] = ("well",)
    """How a warm stop or a warm start turns out."""
    fates: tuple[Fate, ...] = ("well",)
    startup: tuple[float, float] = (0.05, 0.2)
    life: float = 1.0
    """How long a worker lives that doesn't turn out well, and a stand-in that does."""
    stand_in_fates: tuple[Fate, ...] = ("crashes", "exits", "leaves", "leaves")
    ending: tuple[float, float] = (0.0, 0.1)
    pause: tuple[float, float] = (0.0, 0.0)
    """Between the calls of one caller."""
    grid: float = 0.0
    """All times are multiples of this, so that many things happen in the same instant."""
    flawless: bool = False
    """Every call has to succeed."""
    least: tuple[int, int] = (0, 0)
    """Generations that there have to be at the least, and at the most; (0, 0): any number."""


def anything(dice: Random) -> Story:
    """Callers, crashes and operators in any order."""
    rules = Rules(
        unit="u",
        queue=dice.choice((1, 4, 1000, 1000)),
        concurrency=dice.choice((None, None, 1, 2)),
        idle=dice.choice((None, 0.5, 1.0, 5.0)),
        warm=dice.choice((None, None, 0.5, 2.0)),
        drain=dice.choice((0.0, 0.5, 2.0, 10.0)),
        restart=dice.choice(list(Restart)),
        backoff=dice.choice((0.5, 2.0)),
        backoff_most=dice.choice((3.0, 30.0)),
        healthy=dice.choice((2.0, 60.0)),
        breaker=dice.choice((2, 3, 5)),
        breaker_window=dice.choice((5.0, 60.0)),
        breaker_retry=dice.choice((1.0, 30.0)),
    )
    span = dice.choice((0.5, 4.0, 20.0))
    calls = []
    at = 0.0
    for _ in range(dice.randrange(2, 20)):
        if dice.random() < 0.6:
            at = dice.uniform(0, span)
        calls.append(
            Planned(
                at=at,
                length=dice.choice((0.0, 0.1, 0.5, dice.uniform(0, 8))),
                deadline=dice.uniform(0, 3) if dice.random() < 0.25 else None,
                cancel=dice.uniform(0, 1) if dice.random() < 0.2 else None,
                start=dice.random() < 0.9,
            )
        )
    deeds: list[Deed] = ["stop", "start", "restart", "swap", "swap", "suspect", "tick"]
    if dice.random() < 0.3:
        deeds += ["hold", "hold", "start", "start"]
    if dice.random() < 0.5:
        deeds += ["stand-in"] * 4
    if dice.random() < 0.5:
        deeds += ["reload", "replace", "replace", "outgrow"]
    if dice.random() < 0.3:
        deeds += ["need", "need", "let go"]
    if dice.random() < 0.3:
        deeds += ["evict", "evict", "put out", "put out"]
    trouble = dice.random() < 0.6
    return Story(
        rules=rules,
        calls=tuple(calls),
        deeds=tuple(
            (dice.uniform(0, span), dice.choice(deeds)) for _ in range(dice.randrange(0, 6))
        ),
        close=dice.uniform(0, span) if dice.random() < 0.15 else None,
        calm=dice.uniform(0, 2 * span) if trouble else 0.0,
        start_fates=dice.choice(
            (("well",), ("well",), ("well", "well", "fails", "hangs"), ("fails",))
        ),
        warm_fates=dice.choice((("well",), ("well", "fails", "hangs", "crashes", "exits"))),
        fates=dice.choice(
            (
                ("well", "crashes"),
                ("well", "crashes", "exits", "leaves", "sticks", "stalls", "closes"),
                ("crashes",),
            )
        ),
        startup=dice.choice(((0.0, 0.0), (0.0, 0.3), (0.5, 3.0))),
        life=dice.choice((0.0, 0.3, 3.0)),
        ending=dice.choice(((0.0, 0.0), (0.0, 0.5), (1.0, 3.0))),
        grid=dice.choice((0.0, 0.0, 0.25)),
    )


def idle_edge(dice: Random) -> Story:
    """Callers that come back within 50 ms of the idle stop, before, at and after it."""
    return Story(
        rules=Rules(unit="u", idle=1.0),
        calls=(Planned(at=0.0, length=0.1, then=40),),
        pause=(0.95, 1.05),
        grid=dice.choice((0.0, 0.01, 0.05)),
        flawless=True,
        least=(2, 41),
    )


def warm_edge(dice: Random) -> Story:
    """Callers that come back around the warm stop and the end of the warm phase."""
    return Story(
        rules=Rules(unit="u", idle=1.0, warm=0.5),
        calls=(Planned(at=0.0, length=0.1, then=40),),
        pause=dice.choice(((0.95, 1.2), (1.45, 1.75), (0.9, 1.8))),
        grid=dice.choice((0.0, 0.01, 0.05)),
        flawless=True,
        least=(1, 41),
    )


def warm_trouble(dice: Random) -> Story:
    """Callers that soon leave, and people at terminals, around warm stops and starts that fail."""
    return Story(
        rules=Rules(unit="u", idle=0.5, warm=dice.choice((1.0, 5.0))),
        calls=tuple(
            Planned(
                at=at + dice.uniform(0, 1),
                length=dice.choice((0.0, 0.3)),
                cancel=dice.uniform(0, 0.3) if dice.random() < 0.5 else None,
            )
            for at in range(0, 40, 2)
        ),
        deeds=tuple((dice.uniform(0, 40), dice.choice(("start", "stop"))) for _ in range(6)),
        calm=50.0,
        warm_fates=("well", "fails", "hangs", "crashes", "exits"),
        grid=dice.choice((0.0, 0.25)),
    )


def swaps(dice: Random, count: int = 10) -> Story:
    """One swap after the other under twelve callers that never rest."""
    return Story(
        rules=Rules(unit="u", concurrency=dice.choice((None, 4))),
        calls=tuple(
            Planned(at=dice.uniform(0, 0.1), length=dice.uniform(0, 0.3), then=7 * count)
            for _ in range(12)
        ),
        pause=(0.0, 0.02),
        swaps=count,
        grid=dice.choice((0.0, 0.05)),
        flawless=True,
        least=(count + 1, count + 1),
    )


def recovery(dice: Random) -> Story:
    """A unit that fails at first, and then serves for a moment again and again, and idles."""
    return Story(
        rules=Rules(unit="u", idle=0.5, healthy=2.0, breaker=dice.choice((1, 5))),
        calls=(Planned(at=0.0, length=0.1, then=12),),
        pause=(0.55, 0.9),
        calm=0.5,
        start_fates=("fails",),
    )


def stand_ins(dice: Random) -> Story:
    """Stand-ins that come and leave in order, under twelve callers that never rest."""
    return Story(
        rules=Rules(unit="u", concurrency=dice.choice((None, 4)), idle=dice.choice((None, 0.1))),
        calls=tuple(
            Planned(at=dice.uniform(0, 0.1), length=dice.uniform(0, 0.3), then=40)
            for _ in range(12)
        ),
        deeds=tuple((at * dice.uniform(0.3, 1.0), "stand-in") for at in range(1, 9)),
        pause=(0.0, 0.02),
        life=0.3,
        stand_in_fates=("leaves",),
        grid=dice.choice((0.0, 0.05)),
        flawless=True,
        least=(2, 40),
    )


STORIES = {
    "anything": anything,
    "idle-edge": idle_edge,
    "warm-edge": warm_edge,
    "warm-trouble": warm_trouble,
    "recovery": recovery,
    "swaps": swaps,
    "stand-ins": stand_ins,
}
