"""What it costs to decide who may start and who has to go, with many units."""

from collections.abc import Sequence
from time import thread_time
from typing import Final

from bench.measure import Row
from hsu_worker.master.residency import (
    Ask,
    Configured,
    Event,
    Left,
    Look,
    Member,
    Pool,
    Ready,
    Rules,
    State,
    Tenant,
    Use,
    decide,
)

UNITS: Final = 1000

_MB = 10**6


async def residency(full: bool) -> list[Row]:
    """One decision with 1,000 units, 999 of which are resident."""
    row = Row(name="a decision about residency with 1,000 units, CPU", unit="µs")
    pool = Pool(memory=(UNITS - 1) * _MB, min_residency=0.0)
    members = {f"u{number}": Member(pools=("",), memory=_MB) for number in range(UNITS)}
    state = _fed(State(), Configured(Rules(pools={"": pool}, members=members)))
    for number in range(UNITS - 1):
        state = _fed(state, Ask(Tenant(f"u{number}", 1)))
    for number in range(UNITS - 1):
        state = _fed(state, Ready(Tenant(f"u{number}", 1)))
    newcomer, oldest = Tenant(f"u{UNITS - 1}", 1), Tenant("u0", 1)
    for _ in range(50 if full else 10):
        row.add("a look while nobody waits", _took(state, Look()))
        row.add("an idle one is chosen for a newcomer", _took(state, Ask(newcomer)))
        waiting = _fed(state, Ask(newcomer))
        row.add("a look while somebody waits", _took(waiting, Look()))
        row.add("one has left, and the newcomer comes in", _took(waiting, Left(oldest)))
    return [row]


def _seen(tenant: Tenant) -> Use:
    return Use(ready=True, last=float(tenant.unit[1:]))


def _fed(state: State, event: Event) -> State:
    return decide(state, event, _seen, 100.0)[0]


def _took(state: State, event: Event) -> float:
    began = thread_time()
    effects: Sequence[object] = decide(state, event, _seen, 100.0)[1]
    took = (thread_time() - began) * 1e6
    assert isinstance(event, Look) or effects
    return took
