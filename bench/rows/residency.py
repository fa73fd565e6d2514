"""What it costs to decide who may start and who has to go, with many units."""

from collections.abc import Sequence
from time import thread_time
from typing import Final

from bench.measure import Row
from hsu_worker.master.residency import (
    Ask,
    Configured,
    Event,
    Ledger,
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
    ledger = Ledger(_seen)
    state = _fed(State(), Configured(Rules(pools={"": pool}, members=members)), ledger)
    for number in range(UNITS - 1):
        state = _fed(state, Ask(Tenant(f"u{number}", 1)), ledger)
    for number in range(UNITS - 1):
        state = _fed(state, Ready(Tenant(f"u{number}", 1)), ledger)
    newcomer, oldest = Tenant(f"u{UNITS - 1}", 1), Tenant("u0", 1)
    for _ in range(50 if full else 10):
        row.add("a look while nobody waits", _took(state, Look(), ledger))
        row.add("an idle one is chosen for a newcomer", _took(state, Ask(newcomer), ledger))
        waiting = _fed(state, Ask(newcomer), ledger)
        ledger.stir("u500")
        row.add("a look while somebody waits", _took(waiting, Look(), ledger))
        left = _took(waiting, Left(oldest), ledger)
        row.add("one has left, and the newcomer comes in", left)
    return [row]


def _seen(tenant: Tenant) -> Use:
    return Use(ready=True, last=float(tenant.unit[1:]))


def _fed(state: State, event: Event, ledger: Ledger) -> State:
    return decide(state, event, ledger, 100.0)[0]


def _took(state: State, event: Event, ledger: Ledger) -> float:
    began = thread_time()
    effects: Sequence[object] = decide(state, event, ledger, 100.0)[1]
    took = (thread_time() - began) * 1e6
    assert isinstance(event, Look) or effects
    return took
