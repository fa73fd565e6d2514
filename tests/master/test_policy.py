from dataclasses import replace

import pytest
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

from hsu_worker.errors import Dispatch, ResourceExhausted, StartError, Unavailable
from hsu_worker.master.policy import (
    Arrive,
    Close,
    Effect,
    Event,
    Gone,
    Grant,
    Leave,
    Lost,
    Phase,
    Refuse,
    Release,
    Start,
    Started,
    StartFailed,
    State,
    Stop,
    StopAsked,
    Tick,
    Wake,
    decide,
)

NOW = 100.0
BROKEN = StartError("it is broken")

ABSENT = State(unit="u", queue=2, idle=10, drain=5)
STARTING = replace(ABSENT, phase=Phase.STARTING, generation=1)
WAITED_FOR = replace(STARTING, waiters=(1, 2))
READY = replace(STARTING, phase=Phase.READY, quiet_since=95.0)
BUSY = replace(READY, leases=2)
DRAINING = replace(BUSY, phase=Phase.DRAINING, drain_until=NOW + 5)
STOPPING = replace(STARTING, phase=Phase.STOPPING)
WAITED_OUT = replace(STOPPING, waiters=(1, 2))


@pytest.mark.parametrize(
    ("state", "event", "after", "effects"),
    [
        # Callers come and go.
        (ABSENT, Arrive(1), replace(STARTING, waiters=(1,)), [Start(1)]),
        (STARTING, Arrive(1), replace(STARTING, waiters=(1,)), []),
        (READY, Arrive(1), replace(READY, leases=1), [Grant((1,), 1)]),
        (BUSY, Arrive(1), replace(BUSY, leases=3), [Grant((1,), 1)]),
        (DRAINING, Arrive(1), replace(DRAINING, waiters=(1,)), []),
        (STOPPING, Arrive(1), replace(STOPPING, waiters=(1,)), []),
        (WAITED_FOR, Leave(1), replace(WAITED_FOR, waiters=(2,)), []),
        (replace(STARTING, waiters=(1,)), Leave(1), STARTING, []),
        (WAITED_FOR, Leave(7), WAITED_FOR, []),
        # Starts end.
        (
            WAITED_FOR,
            Started(1),
            replace(BUSY, quiet_since=NOW),
            [Grant((1, 2), 1)],
        ),
        (STARTING, Started(1), replace(READY, quiet_since=NOW), [Wake(NOW + 10)]),
        (replace(STARTING, idle=None), Started(1), replace(READY, idle=None, quiet_since=NOW), []),
        (WAITED_FOR, StartFailed(1, BROKEN), STOPPING, [Refuse((1, 2), BROKEN), Stop(1)]),
        # Leases end.
        (BUSY, Release(1), replace(BUSY, leases=1, quiet_since=NOW), []),
        (
            replace(BUSY, leases=1),
            Release(1),
            replace(READY, quiet_since=NOW),
            [Wake(NOW + 10)],
        ),
        (DRAINING, Release(1), replace(DRAINING, leases=1, quiet_since=NOW), []),
        (
            replace(DRAINING, leases=1),
            Release(1),
            replace(STOPPING, quiet_since=NOW, drain_until=NOW + 5),
            [Stop(1)],
        ),
        # Time passes.
        (READY, Tick(), READY, [Wake(105.0)]),
        (
            replace(READY, quiet_since=90.0),
            Tick(),
            replace(STOPPING, quiet_since=90.0),
            [Stop(1)],
        ),
        (replace(READY, idle=None), Tick(), replace(READY, idle=None), []),
        (replace(BUSY, quiet_since=0.0), Tick(), replace(BUSY, quiet_since=0.0), []),
        (DRAINING, Tick(), DRAINING, [Wake(NOW + 5)]),
        (
            replace(DRAINING, drain_until=NOW),
            Tick(),
            replace(STOPPING, quiet_since=95.0, drain_until=NOW),
            [Stop(1)],
        ),
        # Somebody asks for a stop.
        (ABSENT, StopAsked(), ABSENT, []),
        (STARTING, StopAsked(), STOPPING, [Stop(1)]),
        (WAITED_FOR, StopAsked(), replace(WAITED_FOR, stop_asked=True), []),
        (
            replace(WAITED_FOR, stop_asked=True),
            Started(1),
            replace(DRAINING, quiet_since=NOW, stop_asked=True),
            [Grant((1, 2), 1), Wake(NOW + 5)],
        ),
        (READY, StopAsked(), replace(STOPPING, quiet_since=95.0), [Stop(1)]),
        (BUSY, StopAsked(), DRAINING, [Wake(NOW + 5)]),
        (DRAINING, StopAsked(), DRAINING, []),
        (WAITED_OUT, StopAsked(), WAITED_OUT, []),
        # Workers end.
        (BUSY, Lost(1), replace(STOPPING, quiet_since=95.0), [Stop(1)]),
        (
            replace(DRAINING, waiters=(1,)),
            Lost(1),
            replace(STOPPING, waiters=(1,), quiet_since=95.0, drain_until=NOW + 5),
            [Stop(1)],
        ),
        (STOPPING, Gone(1), replace(ABSENT, generation=1), []),
        (WAITED_OUT, Gone(1), replace(WAITED_FOR, generation=2), [Start(2)]),
    ],
)
def test_a_transition(state: State, event: Event, after: State, effects: list[Effect]) -> None:
    decided, done = decide(state, event, NOW)
    assert (after, effects) == (decided, list(done))


def refusal(state: State, event: Event) -> tuple[type, str, Dispatch]:
    _, effects = decide(state, event, NOW)
    [error] = [effect.error for effect in effects if isinstance(effect, Refuse)]
    return type(error), error.message, error.dispatched


@pytest.mark.parametrize("state", [WAITED_FOR, replace(DRAINING, waiters=(1, 2)), WAITED_OUT])
def test_a_caller_is_refused_when_the_queue_is_full(state: State) -> None:
    assert state == decide(state, Arrive(3), NOW)[0]
    text = "unit 'u': 2 callers wait for it already; try again later, or raise its `queue`"
    assert (ResourceExhausted, text, Dispatch.NO) == refusal(state, Arrive(3))


@pytest.mark.parametrize(
    ("state", "phase", "effect"),
    [
        (ABSENT, Phase.ABSENT, None),
        (WAITED_FOR, Phase.STOPPING, Stop(1)),
        (READY, Phase.STOPPING, Stop(1)),
        (BUSY, Phase.DRAINING, Wake(NOW + 5)),
        (replace(DRAINING, waiters=(1,)), Phase.DRAINING, None),
        (WAITED_OUT, Phase.STOPPING, None),
    ],
)
def test_closing_refuses_who_waits_and_who_comes(
    state: State, phase: Phase, effect: Effect | None
) -> None:
    closed, effects = decide(state, Close(), NOW)
    assert (phase, True, ()) == (closed.phase, closed.closed, closed.waiters)
    refused = [w for done in effects if isinstance(done, Refuse) for w in done.waiters]
    assert list(state.waiters) == refused
    assert [effect] * (effect is not None) == [e for e in effects if not isinstance(e, Refuse)]
    told = (Unavailable, "unit 'u': the master is leaving", Dispatch.NO)
    assert told == refusal(closed, Arrive(3))
    assert closed == decide(closed, Arrive(3), NOW)[0]


@pytest.mark.parametrize("make", [Release, Started, Lost, Gone, lambda g: StartFailed(g, BROKEN)])
@pytest.mark.parametrize("state", [ABSENT, WAITED_FOR, READY, BUSY, DRAINING, WAITED_OUT])
def test_events_of_other_generations_change_nothing(state: State, make: type[Release]) -> None:
    for generation in (state.generation - 1, state.generation + 1):
        assert (state, ()) == decide(state, make(generation), NOW)


@pytest.mark.parametrize(
    ("event", "phases"),
    [
        (Started(1), {Phase.STARTING}),
        (StartFailed(1, BROKEN), {Phase.STARTING}),
        (Lost(1), {Phase.READY, Phase.DRAINING}),
        (Release(1), {Phase.READY, Phase.DRAINING}),
        (Gone(1), {Phase.STOPPING}),
    ],
)
def test_events_that_come_too_late_change_nothing(event: Event, phases: set[Phase]) -> None:
    absent = replace(ABSENT, generation=1)
    for state in (absent, WAITED_FOR, BUSY, DRAINING, WAITED_OUT):
        if state.phase not in phases:
            assert (state, ()) == decide(state, event, NOW)


class Interleavings(RuleBasedStateMachine):
    """Callers, a worker and a clock in any order, with books of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ABSENT
        self.now = 0.0
        self.live: int | None = None
        self.stopping = False
        self.callers = 0
        self.waiting: list[int] = []
        self.leases: list[int] = []
        """The generation of each lease, of dead workers too."""
        self.quiet_since = 0.0
        self.timer: float | None = None
        """One timer, as the unit has: a later `Wake` replaces it."""

    @initialize(
        queue=st.integers(1, 3),
        idle=st.one_of(st.none(), st.integers(0, 10)),
        drain=st.integers(0, 10),
    )
    def configure(self, queue: int, idle: int | None, drain: int) -> None:
        self.state = State(unit="u", queue=queue, idle=idle, drain=drain)

    def feed(self, event: Event) -> None:
        before = self.state
        self.state, effects = decide(before, event, self.now)
        for effect in effects:
            match effect:
                case Start(generation):
                    assert self.live is None
                    assert not before.closed
                    assert self.waiting or isinstance(event, Arrive)
                    assert before.generation + 1 == generation
                    self.live, self.stopping = generation, False
                case Stop(generation):
                    assert (self.live, False) == (generation, self.stopping)
                    self.check_stop(before, event)
                    self.stopping = True
                case Grant(waiters, generation):
                    assert (self.live, False) == (generation, self.stopping)
                    self.settle(waiters)
                    self.leases += [generation] * len(waiters)
                case Refuse(waiters, _):
                    self.settle(waiters)
                case Wake(at):
                    self.timer = at

    def settle(self, waiters: tuple[int, ...]) -> None:
        for waiter in waiters:
            self.waiting.remove(waiter)

    def check_stop(self, before: State, event: Event) -> None:
        if self.live in self.leases and not isinstance(event, Lost):
            assert before.phase is Phase.DRAINING
            assert self.now >= before.drain_until
        if before.phase is Phase.READY and isinstance(event, Tick):
            assert before.idle is not None
            assert self.now >= self.quiet_since + before.idle

    @rule()
    def arrive(self) -> None:
        self.callers += 1
        self.waiting.append(self.callers)
        self.feed(Arrive(self.callers))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(waiter)
        self.feed(Leave(waiter))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        generation = data.draw(st.sampled_from(self.leases))
        self.leases.remove(generation)
        if generation == self.live:
            self.quiet_since = self.now
        self.feed(Release(generation))

    @precondition(lambda self: self.state.phase is Phase.STARTING)
    @rule()
    def started(self) -> None:
        self.quiet_since = self.now
        self.feed(Started(self.state.generation))
        assert [] == self.waiting

    @precondition(lambda self: self.state.phase is Phase.STARTING)
    @rule()
    def start_failed(self) -> None:
        self.feed(StartFailed(self.state.generation, BROKEN))
        assert [] == self.waiting

    @precondition(lambda self: self.state.phase in (Phase.READY, Phase.DRAINING))
    @rule()
    def lost(self) -> None:
        self.feed(Lost(self.state.generation))
        assert self.stopping

    @precondition(lambda self: self.stopping)
    @rule()
    def gone(self) -> None:
        generation, self.live, self.stopping = self.state.generation, None, False
        self.feed(Gone(generation))

    @precondition(lambda self: self.timer is not None)
    @rule(early=st.sampled_from([0.0, 0.25]))
    def fire(self, early: float) -> None:
        assert self.timer is not None
        self.now, self.timer = max(self.now, self.timer - early), None
        self.feed(Tick())

    @rule(seconds=st.integers(0, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def stop_asked(self) -> None:
        self.feed(StopAsked())

    @rule(close=st.sampled_from([False] * 7 + [True]))
    def close(self, close: bool) -> None:
        if close:
            self.feed(Close())
            assert [] == self.waiting

    @precondition(lambda self: self.state.generation)
    @rule(data=st.data())
    def stale(self, data: st.DataObject) -> None:
        generation = data.draw(st.integers(0, self.state.generation - 1))
        for event in (
            Release(generation),
            Started(generation),
            StartFailed(generation, BROKEN),
            Lost(generation),
            Gone(generation),
        ):
            assert (self.state, ()) == decide(self.state, event, self.now)

    @invariant()
    def the_books_agree(self) -> None:
        phase = self.state.phase
        lent = phase in (Phase.READY, Phase.DRAINING)
        assert self.leases.count(self.state.generation) * lent == self.state.leases
        assert tuple(self.waiting) == self.state.waiters
        assert len(self.waiting) <= self.state.queue
        assert (phase is Phase.ABSENT) == (self.live is None)
        assert (phase is Phase.STOPPING) == self.stopping

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if self.state.phase in (Phase.ABSENT, Phase.READY) or self.state.closed:
            assert [] == self.waiting

    @invariant()
    def whatever_has_to_end_has_a_timer(self) -> None:
        if self.state.phase is Phase.DRAINING:
            assert self.timer == self.state.drain_until
        idle = self.state.idle
        if self.state.phase is Phase.READY and not self.state.leases and idle is not None:
            assert self.timer is not None
            assert self.timer <= self.quiet_since + idle

    @invariant()
    def nothing_runs_for_long_after_close(self) -> None:
        if self.state.closed:
            assert self.state.phase in (Phase.DRAINING, Phase.STOPPING, Phase.ABSENT)

    def teardown(self) -> None:
        """However it went: after `Close` the unit ends, and stays so."""
        self.feed(Close())
        started = self.state.generation
        if self.state.phase is Phase.DRAINING:
            self.fire(0.0)
        if self.stopping:
            self.gone()
        self.arrive()
        while self.leases:
            self.feed(Release(self.leases.pop()))
        self.feed(Tick())
        assert (Phase.ABSENT, 0, started) == (
            self.state.phase,
            self.state.leases,
            self.state.generation,
        )
        assert (None, []) == (self.live, self.waiting)


def test_every_interleaving_keeps_the_promises() -> None:
    run_state_machine_as_test(
        Interleavings,
        settings=settings(max_examples=150, stateful_step_count=40, deadline=None),
    )
