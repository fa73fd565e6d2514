"""Callers, workers, operators and a clock in any order; the books say what must hold at each step."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hsu_worker.errors import StartError
from hsu_worker.master.policy import (
    Alive,
    Arrive,
    Close,
    Effect,
    Event,
    Gone,
    Leave,
    Leaving,
    Lost,
    Phase,
    Release,
    Restart,
    Returning,
    Rules,
    StandInAsked,
    Started,
    StartFailed,
    StartWanted,
    StopAsked,
    Suspect,
    SwapAsked,
    Tick,
    Unresponsive,
)
from tests.master.sim.books import Books, Record

BROKEN = StartError("it is broken")
DRAW = st.sampled_from((0.0, 0.5, 1.0))


class Interleavings(RuleBasedStateMachine):
    """Each rule is one event, at a time that only `wait` and `fire` move."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books(Rules(unit="u"))
        self.now = 0.0
        self.callers = 0

    @initialize(
        queue=st.integers(1, 3),
        concurrency=st.sampled_from((None, 1, 2)),
        idle=st.sampled_from((None, 0.0, 3.0, 10.0)),
        drain=st.sampled_from((0.0, 2.0, 10.0)),
        restart=st.sampled_from(Restart),
        breaker=st.integers(1, 3),
        healthy=st.sampled_from((0.0, 5.0)),
    )
    def configure(
        self,
        queue: int,
        concurrency: int | None,
        idle: float | None,
        drain: float,
        restart: Restart,
        breaker: int,
        healthy: float,
    ) -> None:
        rules = Rules(
            unit="u",
            queue=queue,
            concurrency=concurrency,
            idle=idle,
            drain=drain,
            restart=restart,
            backoff=2.0,
            backoff_most=5.0,
            breaker=breaker,
            breaker_window=10.0,
            breaker_retry=4.0,
            healthy=healthy,
        )
        self.books = Books(rules)

    def feed(self, event: Event) -> Sequence[Effect]:
        return self.books.feed(event, self.now)

    def of(self, *phases: Phase) -> list[Record]:
        return [each for each in self.books.live.values() if each.phase in phases]

    def draw(self, data: st.DataObject, *phases: Phase) -> int:
        return data.draw(st.sampled_from(self.of(*phases))).number

    @rule(start=st.sampled_from((True, True, True, False)))
    def arrive(self, start: bool) -> None:
        self.callers += 1
        self.feed(Arrive(self.callers, start=start))

    @precondition(lambda self: self.books.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.feed(Leave(data.draw(st.sampled_from(list(self.books.waiting)))))

    @precondition(lambda self: any(each.leases for each in self.books.live.values()))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lent = [each for each in self.books.live.values() if each.leases]
        self.feed(Release(data.draw(st.sampled_from(lent)).number))

    @precondition(lambda self: self.of(Phase.STARTING))
    @rule(data=st.data())
    def started(self, data: st.DataObject) -> None:
        self.feed(Started(self.draw(data, Phase.STARTING)))

    @precondition(lambda self: self.of(Phase.STARTING))
    @rule(data=st.data(), jitter=DRAW)
    def start_failed(self, data: st.DataObject, jitter: float) -> None:
        self.feed(StartFailed(self.draw(data, Phase.STARTING), BROKEN, jitter))

    @precondition(lambda self: self.of(Phase.READY, Phase.DRAINING))
    @rule(data=st.data(), clean=st.booleans(), jitter=DRAW)
    def lost(self, data: st.DataObject, clean: bool, jitter: float) -> None:
        number = self.draw(data, Phase.READY, Phase.DRAINING)
        self.feed(Lost(number, clean=clean, draw=jitter))

    @precondition(lambda self: self.of(Phase.READY, Phase.DRAINING))
    @rule(data=st.data(), jitter=DRAW)
    def unresponsive(self, data: st.DataObject, jitter: float) -> None:
        self.feed(Unresponsive(self.draw(data, Phase.READY, Phase.DRAINING), draw=jitter))

    @precondition(lambda self: self.of(Phase.READY))
    @rule(data=st.data(), kind=st.sampled_from((Suspect, Alive, Leaving)))
    def look(self, data: st.DataObject, kind: type[Suspect] | type[Alive] | type[Leaving]) -> None:
        self.feed(kind(self.draw(data, Phase.READY)))

    @precondition(lambda self: self.of(Phase.STOPPING))
    @rule(data=st.data())
    def gone(self, data: st.DataObject) -> None:
        self.feed(Gone(self.draw(data, Phase.STOPPING)))

    @precondition(lambda self: self.books.timer is not None)
    @rule(early=st.sampled_from((0.0, 0.0, 0.25)))
    def fire(self, early: float) -> None:
        assert self.books.timer is not None
        self.now, self.books.timer = max(self.now, self.books.timer - early), None
        self.feed(Tick())

    @rule(seconds=st.sampled_from((0.5, 1.0, 4.0)))
    def wait(self, seconds: float) -> None:
        # A timer that is due fires at its time.
        if self.books.timer is None or self.now + seconds <= self.books.timer:
            self.now += seconds

    @rule(hold=st.booleans())
    def stop_asked(self, hold: bool) -> None:
        self.feed(StopAsked(hold))

    @rule()
    def start_wanted(self) -> None:
        self.feed(StartWanted())

    @rule()
    def swap_asked(self) -> None:
        self.feed(SwapAsked(self.callers))

    @rule()
    def stand_in_asked(self) -> None:
        self.feed(StandInAsked(self.callers, "a worker"))

    @precondition(lambda self: self.of(Phase.READY))
    @rule(data=st.data(), within=st.sampled_from((0.5, 4.0)))
    def returning(self, data: st.DataObject, within: float) -> None:
        self.feed(Returning(self.draw(data, Phase.READY), within))

    @rule(close=st.sampled_from((False,) * 9 + (True,)))
    def close(self, close: bool) -> None:
        if close:
            self.feed(Close())

    @precondition(lambda self: self.books.last)
    @rule(data=st.data())
    def stale(self, data: st.DataObject) -> None:
        dead = sorted(set(range(self.books.last + 2)) - set(self.books.live))
        number = data.draw(st.sampled_from(dead))
        for kind in (Release, Started, Lost, Unresponsive, Suspect, Alive, Leaving, Gone):
            self.feed(kind(number))
        self.feed(StartFailed(number, BROKEN))
        self.feed(Returning(number, 1.0))

    @invariant()
    def one_worker_in_each_place(self) -> None:
        state = self.books.state
        places = [state.current, state.candidate, state.retiring]
        numbers = [each.number for each in places if each is not None]
        assert len(numbers) == len(set(numbers)) == len(self.books.live)

    def step(self) -> bool:
        """What happens next when nothing goes wrong any more."""
        for record in list(self.books.live.values()):
            if record.phase is Phase.STARTING:
                self.feed(Started(record.number))
                return True
            if record.phase is Phase.STOPPING:
                self.feed(Gone(record.number))
                return True
            if record.suspect:
                self.feed(Alive(record.number))
                return True
            if record.leases:
                self.feed(Release(record.number))
                return True
        if self.books.timer is not None and (self.books.waiting or self.books.closed):
            self.fire(0.0)
            return True
        return False

    def teardown(self) -> None:
        """However it went: nobody waits for ever, and after `Close` nothing is left."""
        for end in (None, Close()):
            if end is not None:
                self.feed(end)
            steps = 0
            while self.step():
                steps += 1
                assert steps < 1000, "it never comes to rest"
            assert not self.books.waiting
        state = self.books.state
        assert (Phase.ABSENT, 0, (), {}) == (
            Phase.ABSENT if state.held or state.trouble.open else state.phase,
            state.leases,
            state.waiters,
            self.books.live,
        )
        assert 0 == self.books.swaps


def test_every_interleaving_keeps_the_promises() -> None:
    run_state_machine_as_test(
        Interleavings,
        settings=settings(max_examples=150, stateful_step_count=50, deadline=None),
    )
