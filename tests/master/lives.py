"""Random lives of a unit, a hundred at a time, and what holds of every call in them."""

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from tests.master.sim.clock import run
from tests.master.sim.fakes import Plan


def live_a_hundred(
    one_life: Callable[[int], Coroutine[Any, Any, list[int | str]]],
    first: int,
    *,
    calls: int,
    outcomes: Collection[str],
) -> None:
    """From a seed on: each call ends once, in a way that is expected; enough of them are answered."""
    served = 0
    for seed in range(first, first + 100):
        try:
            ends = run(one_life(seed))
        except (Exception, asyncio.CancelledError):
            print(f"seed {seed}")
            raise
        assert calls == len(ends)
        told = {end for end in ends if isinstance(end, str)} - {"left"}
        assert told <= set(outcomes), f"seed {seed}"
        served += sum(isinstance(end, int) for end in ends)
    assert served > 1000


def any_plan(dice: random.Random) -> Plan:
    """A worker that does well, is slow, or fails, as the dice fall."""
    return Plan(
        startup=dice.choice((0.0, 0.1, 1.0)),
        fails=dice.choice(("", "", "", "", "it is broken")),
        ending=dice.choice((0.0, 0.1, 1.0)),
        warm_stop=dice.choice((0.0, 0.1, 1.0)),
        warm_fails=dice.choice(("", "", "stop", "start")),
    )
