"""The two events of every call, as far as nothing else follows from them.

Each call comes by twice, so the owner of a unit asks here first, without an event and its effects;
`decide` does so too. What is answered with None has to be decided on.
"""

from math import inf

from hsu_worker.master.policy.state import Phase, State, evolve


def lent(state: State) -> tuple[State, int] | None:
    """The state with one more lease, and of which generation; None: whoever wants it has to arrive.

    One more lease changes nothing that was planned before.
    """
    current = state.current
    if (
        current is None
        or current.phase is not Phase.READY
        or current.suspect
        or current.stop_asked
        or state.waiters
    ):
        return None
    most = state.rules.concurrency
    if most is not None and current.leases >= most:
        return None
    return evolve(state, current=evolve(current, leases=current.leases + 1)), current.number


def given_back(state: State, number: int, now: float) -> tuple[State, float] | None:
    """The state with one lease less, and when the unit has to be looked at; `inf`: not for this.

    None: more may follow, because somebody waits for room, or the worker is to end or to be replaced.
    """
    current = state.current
    if (
        current is None
        or current.number != number
        or current.phase is not Phase.READY
        or current.stop_asked
        or state.waiters
        or state.renew
        or state.trouble.streak
    ):
        return None
    idle, left = state.rules.idle, current.leases - 1
    at = inf if idle is None or left or state.needed or current.stand_in else now + idle
    return evolve(state, current=evolve(current, leases=left, quiet_since=now)), at
