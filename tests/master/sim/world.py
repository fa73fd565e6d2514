"""A unit in a world of its own: callers, workers and operators under a virtual clock.

It does what the policy decides the way the unit does it, but by a heap of events and the dice of
a seed. The same seed is the same run, to the last event.
"""

from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush
from math import ceil
from random import Random
from typing import Any

from hsu_worker.errors import StartError
from hsu_worker.master.policy import (
    Alive,
    Arrive,
    Close,
    Effect,
    Event,
    Evict,
    Gone,
    Grant,
    Leave,
    Leaving,
    Lost,
    Needed,
    Outgrown,
    Probe,
    Reconfigured,
    Refuse,
    Release,
    Returning,
    StandInAsked,
    Start,
    Started,
    StartFailed,
    StartNeeded,
    StartWanted,
    Stop,
    StopAsked,
    Suspect,
    SwapAsked,
    SwapEnded,
    Tick,
    Unresponsive,
    Warm,
    WarmFailed,
    WarmStart,
    WarmStop,
)
from tests.master.sim.books import Books, Broken, expect
from tests.master.sim.parts import Call, Worker
from tests.master.sim.stories import STORIES, Deed, Fate, Planned

#: Seconds after which a launcher gives up a start that shows no progress.
STALL = 20.0

#: Seconds in which the liveness misses a worker that is stuck, and in which it gives it up.
MISSED = 5.0
DETECTED = 15.0

#: Seconds for which one stands still that goes on then.
STALLED = 8.0

#: Seconds that a worker has to do after it has closed its server.
FLUSHED = 4.0

#: Seconds that a worker on its way out gives its calls.
LAST_CALLS = 3.0

#: Steps of one seed; more of them mean that it never comes to rest.
STEPS = 50_000


class World:
    """Runs the story of one seed."""

    def __init__(self, seed: int, story: str = "anything", *, trace: bool = False) -> None:
        self.dice = Random(seed)
        self.story = STORIES[story](self.dice)
        self.books = Books(self.story.rules)
        self.now = 0.0
        self.trace: list[str] | None = [] if trace else None
        self.calls: list[Call] = []
        self.waiting: dict[int, Call] = {}
        self.workers: dict[int, Worker] = {}
        self.swaps = 0
        self.dependents = 0
        self.events = 0
        self._waiters = 0
        self._heap: list[tuple[float, float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def run(self) -> None:
        """To the end; raises Broken."""
        story = self.story
        for planned in story.calls:
            self._at(planned.at, self._arrive, planned)
        for at, deed in story.deeds:
            self._at(at, self._do, deed)
        if story.swaps:
            self._at(0.5, self._do, "swap")
        if story.close is not None:
            self._at(story.close, self._close)
        self._run_heap()
        unended = [call.number for call in self.calls if not call.outcome]
        expect(not unended, f"calls that wait for ever: {unended}")
        self._close()
        self._run_heap()
        self._check_end()

    def _check_end(self) -> None:
        books = self.books
        expect(not self.workers and not books.live, "a worker outlived the close")
        expect(not books.state.leases and not self.waiting, "leases or waiters after the close")
        expect(not books.swaps, "a swap that never ended")
        low, high = self.story.least
        expect(not high or low <= books.last <= high, f"{books.last} generations")
        if self.story.flawless:
            failed = {call.number: call.outcome for call in self.calls if call.outcome != "done"}
            expect(not failed, f"failed calls: {failed}")

    # The clock.

    def _at(self, time: float, act: Callable[..., None], *args: Any) -> None:
        grid = self.story.grid
        if grid and act != self._tick:
            time = ceil(time / grid) * grid
        self._count += 1
        # What happens in the same instant happens in any order.
        entry = (max(time, self.now), self.dice.random(), self._count, act, args)
        heappush(self._heap, entry)

    def _soon(self, act: Callable[..., None], *args: Any) -> None:
        self._count += 1
        heappush(self._heap, (self.now, self.dice.random(), self._count, act, args))

    def _run_heap(self) -> None:
        while self._heap:
            self.now, _, _, act, args = heappop(self._heap)
            expect(self._count < STEPS, "it never comes to rest")
            act(*args)

    def _tick(self, at: float) -> None:
        if self.books.timer == at:
            self.books.timer = None
            self._feed(Tick())

    # The unit.

    def _feed(self, event: Event) -> None:
        self.events += 1
        if self.trace is not None:
            self.trace.append(f"{self.now:10.4f}  {event}")
        timer = self.books.timer
        effects = self.books.feed(event, self.now)
        for effect in effects:
            if self.trace is not None:
                self.trace.append(f"{'':10}    -> {effect}")
            self._perform(effect)
        if self.books.timer is not None and self.books.timer != timer:
            self._at(self.books.timer, self._tick, self.books.timer)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Grant(waiters, number):
                for waiter in waiters:
                    call = self.waiting.pop(waiter)
                    if call.outcome:
                        # Its caller has gone, and has not run yet to say so.
                        self._soon(self._feed, Release(number))
                    else:
                        call.worker = self.workers[number]
                        self._soon(self._enter, call, call.worker)
            case Refuse(waiters):
                for waiter in waiters:
                    self._end(self.waiting.pop(waiter), "refused")
            case Start(number, _, trigger):
                self._start(number, stand_in=trigger == "stand-in")
            case Stop(number):
                self._stop(self.workers[number])
            case WarmStop(number):
                self._warm_step(self.workers[number], Warm(number))
            case WarmStart(number):
                self._warm_step(self.workers[number], Started(number))
            case Probe(number):
                self._later((0.0, 0.2), self._probed, self.workers[number])
            case SwapEnded(_, error):
                if self.story.swaps and self.swaps < self.story.swaps:
                    expect(error is None, f"a swap failed: {error}")
                    self._soon(self._do, "swap")
            case _:
                pass

    # Callers.

    def _arrive(self, planned: Planned) -> None:
        call = Call(len(self.calls), planned, self.now)
        self.calls.append(call)
        for seconds, outcome in ((planned.deadline, "deadline"), (planned.cancel, "cancelled")):
            if seconds is not None:
                self._at(self.now + seconds, self._give_up, call, outcome)
        self._ask(call)

    def _ask(self, call: Call) -> None:
        self._waiters += 1
        call.waiter = self._waiters
        self.waiting[call.waiter] = call
        self._feed(Arrive(call.waiter, f"call {call.number}", call.plan.start))

    def _enter(self, call: Call, worker: Worker) -> None:
        if call.outcome:
            return
        generation = self.books.state.find(worker.number)
        if generation is None or not generation.serves:
            call.worker = None
            self._feed(Release(worker.number))
            self._ask(call)
        elif worker.ended or worker.leaving or worker.closed:
            # Nobody takes it: it is made again, once it is known where to.
            call.worker = None
            self._feed(Suspect(worker.number))
            self._feed(Release(worker.number))
            self._ask(call)
        else:
            worker.running[call] = None
            if not worker.stuck:
                self._at(self.now + call.plan.length, self._return, call, worker)

    def _return(self, call: Call, worker: Worker) -> None:
        if call in worker.running and not worker.stuck:
            self._end(call, "done")

    def _give_up(self, call: Call, outcome: str) -> None:
        if call.outcome:
            return
        if call.waiter in self.waiting:
            call.outcome = outcome
            # A task that is cancelled runs a step later, and much may come in between.
            self._soon(self._leave, call)
        else:
            self._end(call, outcome)

    def _leave(self, call: Call) -> None:
        if self.waiting.pop(call.waiter, None) is not None:
            self._feed(Leave(call.waiter))

    def _end(self, call: Call, outcome: str) -> None:
        """The call is over, and with it its lease."""
        if call.outcome:
            # Refused in the same instant in which its caller left.
            return
        call.outcome = outcome
        if self.trace is not None:
            self.trace.append(f"{'':10}     = call {call.number}: {outcome}")
        worker, call.worker = call.worker, None
        if worker is not None:
            worker.running.pop(call, None)
            self._feed(Release(worker.number))
            if worker.leaving and not worker.running:
                self._soon(self._exit, worker, True)
        if call.plan.then:
            plan = call.plan
            again = Planned(at=0, length=plan.length, then=plan.then - 1)
            self._later(self.story.pause, self._arrive, again)

    # Workers.

    def _later(self, bounds: tuple[float, float], act: Callable[..., None], *args: Any) -> None:
        self._at(self.now + self.dice.uniform(*bounds), act, *args)

    def _fate(self, fates: tuple[Fate, ...]) -> Fate:
        return self.dice.choice(fates) if self.now < self.story.calm else "well"

    def _start(self, number: int, *, stand_in: bool) -> None:
        worker = self.workers[number] = Worker(number, stand_in=stand_in)
        fate = self._fate(self.story.start_fates)
        if fate == "hangs":
            self._at(self.now + STALL, self._start_failed, worker)
        else:
            act = self._start_failed if fate == "fails" else self._started
            self._later(self.story.startup, act, worker)

    def _warm_step(self, worker: Worker, done: Warm | Started) -> None:
        """It leaves its lifespans, or enters them again."""
        worker.step += 1
        fate = self._fate(self.story.warm_fates)
        if fate in ("crashes", "exits"):
            self._later((0.0, 0.2), self._exit, worker, fate == "exits")
        elif fate == "hangs":
            self._at(self.now + STALL, self._warm_stepped, worker, worker.step, False, done)
        else:
            act, well = self._warm_stepped, fate == "well"
            self._later(self.story.startup, act, worker, worker.step, well, done)

    def _warm_stepped(self, worker: Worker, step: int, well: bool, done: Warm | Started) -> None:
        # One that has ended, or stands still, finishes no step of its own.
        if worker.step != step:
            return
        well = well and not (worker.ended or worker.stuck or worker.leaving or worker.closed)
        failed = WarmFailed(worker.number, "it has not come to an end")
        self._report(worker, done if well else failed)

    def _start_failed(self, worker: Worker) -> None:
        error = StartError(f"generation {worker.number} is broken")
        self._report(worker, StartFailed(worker.number, error, self.dice.random()))

    def _started(self, worker: Worker) -> None:
        if not worker.stopping:
            if worker.stand_in:
                fate = self.dice.choice(self.story.stand_in_fates)
                if self.dice.random() < 0.5:
                    self._later((0.0, self.story.life), self._come_back, worker)
            else:
                fate = self._fate(self.story.fates)
            act, *args = self._end_of(fate)
            self._later((0.0, 2 * self.story.life), act, worker, *args)
        self._report(worker, Started(worker.number))

    def _end_of(self, fate: Fate) -> tuple[Callable[..., None], *tuple[bool, ...]]:
        match fate:
            case "crashes":
                return self._exit, False
            case "exits":
                return self._exit, True
            case "leaves":
                return (self._leave_by_itself,)
            case "sticks":
                return self._stick, False
            case "stalls":
                return self._stick, True
            case "closes":
                return (self._close_server,)
            case _:
                return (self._stay,)

    def _come_back(self, worker: Worker) -> None:
        """It is about to leave for a moment, it says; often it does come back."""
        within = self.dice.choice((0.2, 1.0, 5.0))
        self._report(worker, Returning(worker.number, within))
        meanwhile: tuple[Deed, ...] = ("stand-in",)
        if not self.story.flawless:
            meanwhile = ("stand-in", "stand-in", "stop", "start", "tick")
        self._later((0.0, within), self._do, self.dice.choice(meanwhile))

    def _stay(self, worker: Worker) -> None:
        """It lives until it is stopped."""

    def _report(self, worker: Worker, event: Event) -> None:
        # What comes too late changes nothing; sometimes it is told all the same.
        if not worker.stopping or self.dice.random() < 0.3:
            self._feed(event)

    def _exit(self, worker: Worker, clean: bool) -> None:
        if worker.stopping or worker.ended:
            return
        worker.ended = True
        for call in list(worker.running):
            self._later((0.0, 0.01), self._break, call, worker)
        notice = (0.0, self.dice.choice((0.0, 0.2)))
        lost = Lost(worker.number, "it ended", clean, self.dice.random())
        self._later(notice, self._report, worker, lost)

    def _break(self, call: Call, worker: Worker) -> None:
        if call in worker.running:
            self._feed(Suspect(worker.number))
            self._end(call, "crash")

    def _leave_by_itself(self, worker: Worker) -> None:
        """Somebody else has sent it SIGTERM."""
        if not (worker.stopping or worker.ended):
            worker.leaving = True
            wait = LAST_CALLS if worker.running else 0.0
            self._at(self.now + wait, self._exit, worker, True)

    def _stick(self, worker: Worker, for_a_while: bool) -> None:
        if worker.stopping or worker.ended:
            return
        worker.stuck = True
        missed = Suspect(worker.number, "it does not answer", probe=False)
        self._at(self.now + MISSED, self._report, worker, missed)
        if for_a_while:
            self._at(self.now + STALLED, self._go_on, worker)
        else:
            event = Unresponsive(worker.number, "it hangs", self.dice.random())
            self._at(self.now + DETECTED, self._report, worker, event)

    def _go_on(self, worker: Worker) -> None:
        if worker.stopping or worker.ended:
            return
        worker.stuck = False
        self._report(worker, Alive(worker.number))
        for call in list(worker.running):
            self._soon(self._return, call, worker)

    def _close_server(self, worker: Worker) -> None:
        """It answers nobody any more, and flushes something before it exits."""
        if not (worker.stopping or worker.ended):
            worker.closed = True
            for call in list(worker.running):
                self._soon(self._break, call, worker)
            self._at(self.now + FLUSHED, self._exit, worker, True)

    def _probed(self, worker: Worker) -> None:
        if worker.ended or worker.closed:
            self._at(self.now + 1.0, self._report, worker, Leaving(worker.number))
        elif not worker.stuck:
            self._report(worker, (Leaving if worker.leaving else Alive)(worker.number))

    def _stop(self, worker: Worker) -> None:
        worker.stopping = True
        for call in list(worker.running):
            failed = worker.ended or worker.stuck
            # The books have seen to it that the drain was over.
            self._soon(self._cut, call, worker, "crash" if failed else "drained")
        self._later(self.story.ending, self._gone, worker)

    def _cut(self, call: Call, worker: Worker, outcome: str) -> None:
        if call in worker.running:
            self._end(call, outcome)

    def _gone(self, worker: Worker) -> None:
        del self.workers[worker.number]
        self._feed(Gone(worker.number))

    # Operators.

    def _do(self, deed: Deed) -> None:
        match deed:
            case "stop":
                self._feed(StopAsked())
            case "hold":
                self._feed(StopAsked(hold=True))
            case "start":
                self._feed(StartWanted())
            case "restart":
                self._feed(StopAsked())
                self._feed(StartWanted("restart"))
            case "swap":
                self.swaps += 1
                self._feed(SwapAsked(self.swaps))
            case "stand-in":
                self.swaps += 1
                self._feed(StandInAsked(self.swaps, "a worker has registered"))
            case "reload" | "replace":
                self.swaps += 1
                rules = replace(
                    self.books.rules,
                    concurrency=self.dice.choice((None, 1, 2)),
                    idle=self.dice.choice((None, 0.5, 1.0, 5.0)),
                    warm=self.dice.choice((None, 0.5, 2.0)),
                )
                self._feed(Reconfigured(rules, self.swaps if deed == "replace" else None))
            case "outgrow":
                if self.books.current is not None and not self.books.current.stand_in:
                    self._feed(Outgrown(self.books.current.number, "it has 9 MiB of its own"))
            case "need":
                self.dependents += 1
                self._feed(Needed(self.dependents))
                self._feed(StartNeeded("unit 'a' depends on it"))
            case "let go":
                if self.dependents:
                    self.dependents -= 1
                    self._feed(Needed(self.dependents))
            case "evict" | "put out":
                if self.books.current is not None:
                    number = self.books.current.number
                    self._feed(Evict(number, "unit 'a' needs its place", deed == "put out"))
            case "suspect":
                if self.books.current is not None:
                    self._feed(Suspect(self.books.current.number))
            case "tick":
                self._feed(Tick())

    def _close(self) -> None:
        if not self.books.closed:
            self._feed(Close())


def replay(seed: int, story: str = "anything") -> tuple[list[str], Broken | None]:
    """The trace of one seed, and what it broke."""
    world = World(seed, story, trace=True)
    assert world.trace is not None
    try:
        world.run()
    except Broken as broken:
        return world.trace, broken
    return world.trace, None
