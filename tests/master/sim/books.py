"""Books of one unit, kept beside the policy: each step has to agree with them.

What has happened is taken down from the events alone; what the policy does about it is then held
against the promises of the house.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hsu_worker.errors import ResourceExhausted
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
    Numbered,
    Outgrown,
    Phase,
    Probe,
    Reconfigured,
    Refuse,
    Release,
    Restart,
    Returning,
    Rules,
    StandInAsked,
    Start,
    Started,
    StartFailed,
    StartNeeded,
    StartWanted,
    State,
    Stop,
    StopAsked,
    Suspect,
    SwapAsked,
    SwapEnded,
    Tick,
    Unresponsive,
    Wake,
    Warm,
    WarmFailed,
    WarmStart,
    WarmStop,
    decide,
)
from tests.master.sim.health import Health


class Broken(AssertionError):
    """A promise was broken."""


@dataclass(slots=True, kw_only=True)
class Record:
    """One generation that lives."""

    number: int
    swap: bool
    spec: int = 0
    stand_in: bool = False
    returns: float = 0.0
    ready: float | None = None
    leases: int = 0
    quiet: float = 0.0
    drains: float | None = None
    """Since when."""
    stop_asked: bool = False
    stopped: bool = False
    outgrown: float = 0.0
    suspect: bool = False
    leaves: bool = False
    """Its lifespans, or has left them."""
    warm: float | None = None
    """Since when it has left them."""
    resumes: bool = False
    """It enters them again."""

    @property
    def phase(self) -> Phase:
        if self.stopped:
            return Phase.STOPPING
        if self.leaves:
            return Phase.WARM
        if self.ready is None:
            return Phase.STARTING
        return Phase.READY if self.drains is None else Phase.DRAINING


class Books:
    """Feeds the policy, and checks it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.state = State(rules=rules)
        self.health = Health(rules)
        self.live: dict[int, Record] = {}
        self.current: Record | None = None
        self.waiting: dict[int, None] = {}
        self.last = 0
        self.spec = 0
        """How the ones to come are launched."""
        self.kept: float | None = None
        """Until when the place is kept for a stand-in."""
        self.wanted = False
        self.renew = False
        """Another one is to take the place, once nothing else is on its way."""
        self.held = False
        self.needed = 0
        self.closed = False
        self.swaps = 0
        """Swaps that were asked for, and have not ended."""
        self.timer: float | None = None
        """One timer, as the unit has: only an earlier `Wake` moves it."""

    @property
    def phase(self) -> Phase | None:
        return None if self.current is None else self.current.phase

    def feed(self, event: Event, now: float) -> Sequence[Effect]:
        before, phase = self.current, self.phase
        useless = isinstance(event, Lost | Unresponsive | WarmFailed) and self._is_warm(
            event.generation
        )
        free = isinstance(event, Evict) and self._is_free(event.generation)
        self._note(event, now)
        self.state, effects = decide(self.state, event, now)
        for effect in effects:
            self._check(effect, event, now)
        if phase is Phase.READY and before is not None and before is not self.current:
            expect(isinstance(event, Started), f"generation {before.number} lost its place")
        swaps = [each for each in self.live.values() if each.swap and not each.stopped]
        if isinstance(event, StopAsked | Close):
            expect(not swaps, "a swap goes on after a stop")
            expect(self.phase is not Phase.WARM, "a warm process goes on after a stop")
        if useless and before is not None:
            expect(before.stopped, "a warm process is of no use, and nobody ends it")
        if free and before is not None:
            expect(before.stopped, "one that nobody uses stays, and another unit needs its place")
        if isinstance(event, Reconfigured) and event.spec is not None:
            old = [each for each in swaps if not each.stand_in and each.spec != event.spec]
            expect(not old, "a swap goes on after a reload")
        self._pass_time(now)
        self._compare()
        self._check_rest(now)
        return effects

    # What has happened.

    def _note(self, event: Event, now: float) -> None:
        current = self.current
        match event:
            case Arrive(waiter):
                self.waiting[waiter] = None
            case Leave(waiter):
                self.waiting.pop(waiter, None)
            case Release(number):
                record = self.live.get(number)
                if record is not None and record.phase in (Phase.READY, Phase.DRAINING):
                    record.leases -= 1
                    record.quiet = now
            case Started(number):
                record = self.live.get(number)
                if record is not None and record.phase is Phase.STARTING:
                    record.ready = record.quiet = now
                    record.resumes = False
                    if record.swap:
                        self._flip(record, now)
            case StartFailed(number, _, draw):
                failed = self._current(number, Phase.STARTING)
                if failed is not None:
                    self.health.fail(now, draw)
                    again = (Restart.ALWAYS, Restart.ON_FAILURE)
                    self.wanted = self.rules.restart in again and not failed.stop_asked
            case Lost(number) | Unresponsive(number) | WarmFailed(number) if self._is_warm(number):
                # No failure of the unit: a start that was under way is made in a new process.
                assert current is not None
                if current.resumes:
                    self.wanted = self.wanted or not current.stop_asked
            case Warm(number):
                left = self._current(number, Phase.WARM)
                if left is not None:
                    left.warm = now
            case Lost(number, _, clean, draw, finishes):
                self._lost(number, now, draw, clean, finishes)
            case Unresponsive(number, _, draw):
                self._lost(number, now, draw, clean=False)
            case StartWanted():
                if not self.closed:
                    self.held, self.wanted, self.kept = False, not self._comes(), None
                    self.health.forget()
            case StartNeeded():
                stands = self.closed or self.held
                if current is None:
                    stands = stands or (self.health.open and self.health.blocks(now))
                if not (stands or self._comes()):
                    self.wanted = True
            case Numbered(last):
                self.last = max(self.last, last)
            case Needed(count):
                if self.needed and not count and current is not None:
                    current.quiet = now
                self.needed = count
            case StopAsked(hold):
                self._stop(now, hold)
            case SwapAsked() | StandInAsked():
                self.swaps += 1
            case Returning(number, within):
                back = self._current(number, Phase.READY)
                if back is not None and back.stand_in:
                    back.returns = within
            case Reconfigured():
                self._reconfigure(event)
            case Outgrown(number):
                grown = self._current(number, Phase.READY)
                if grown is not None and not (grown.stand_in or self.closed or self.renew):
                    assert grown.ready is not None
                    if now >= max(grown.ready, grown.outgrown) + self.rules.healthy:
                        grown.outgrown, self.renew = now, True
            case Evict(number, _, drain):
                used = self._current(number, Phase.READY)
                if drain and used is not None and not (used.stand_in or self._is_free(number)):
                    self._drain(used, now)
            case Close():
                self.closed = True
                self._stop(now, hold=False)
            case Leaving(number):
                leaving = self._current(number, Phase.READY)
                if leaving is not None:
                    self._drain(leaving, now)
                    self.wanted = self.wanted or self.rules.restart is Restart.ALWAYS
                    if leaving.returns:
                        self.kept = now + leaving.returns
            case Suspect(number):
                suspected = self._current(number, Phase.READY)
                if suspected is not None:
                    suspected.suspect = True
            case Alive(number):
                alive = self._current(number, Phase.READY)
                if alive is not None:
                    alive.suspect = False
            case Gone(number):
                record = self.live.get(number)
                if record is not None and record.stopped:
                    del self.live[number]
                    if record is current:
                        self.current = None
            case Tick():
                pass

    def _is_free(self, number: int) -> bool:
        """It may go for another unit's sake: nobody uses it, or waits for it."""
        current = self.current
        if current is None or current.number != number or current.stand_in:
            return False
        there = current.phase is Phase.READY or (current.leaves and current.warm is not None)
        there = there and not current.stopped
        return there and not (current.leases or self.waiting or self.needed)

    def _comes(self) -> bool:
        """One serves, or will; a suspected one may be dead."""
        current = self.current
        if current is None or current.stop_asked or current.suspect:
            return False
        return self.phase in (Phase.STARTING, Phase.READY)

    def _is_warm(self, number: int) -> bool:
        current = self.current
        here = current is not None and current.number == number
        return current is not None and here and (self.phase is Phase.WARM or current.resumes)

    def _drain(self, record: Record, now: float) -> None:
        """It is told, or seen, to go; what it served counts."""
        assert record.ready is not None
        record.drains, record.suspect = now, False
        self.health.serve(now - record.ready)

    def _flip(self, record: Record, now: float) -> None:
        self.health.forget()
        if not record.stand_in:
            self.spec = record.spec
        if self.held:
            # It could take the place, which somebody wants empty.
            return
        self.kept = None
        old, self.current = self.current, record
        self.wanted = self.renew = record.swap = False
        if old is not None and old.phase is Phase.READY and not (old.leases or record.stand_in):
            record.quiet = old.quiet
        if old is not None:
            old.suspect = False
            if old.ready is not None and old.drains is None:
                old.drains = now

    def _current(self, number: int, phase: Phase) -> Record | None:
        """The one that calls go to, if it is this one, in this phase."""
        current = self.current
        if current is None or current.number != number or current.phase is not phase:
            return None
        return current

    def _lost(
        self, number: int, now: float, draw: float, clean: bool, finishes: bool = False
    ) -> None:
        current = self.current
        if current is not None and current.number == number and current.stand_in:
            self._stand_in_lost(current, now)
            return
        lost = self._current(number, Phase.READY)
        if lost is not None:
            assert lost.ready is not None
            restart = self.rules.restart
            # Whoever leaves under a call loses it, whatever the exit code.
            clean = clean and (finishes or not lost.leases)
            again = restart is Restart.ALWAYS or (restart is Restart.ON_FAILURE and not clean)
            self.wanted = again or self.wanted
            if not clean or restart is Restart.ALWAYS:
                self.health.fail(now, draw)
            else:
                self.health.serve(now - lost.ready)

    def _stand_in_lost(self, stand_in: Record, now: float) -> None:
        """Its end is no failure; one that comes back finds its place, unless somebody wanted it."""
        if stand_in.phase is Phase.READY:
            self.wanted = self.wanted or self.rules.restart is Restart.ALWAYS
        elif stand_in.phase is not Phase.DRAINING or self.kept is None:
            return
        self.kept = now + stand_in.returns if stand_in.returns else None

    def _stop(self, now: float, hold: bool) -> None:
        self.held, self.wanted, self.kept = hold or self.held, False, None
        self.health.stop()
        current = self.current
        if current is not None:
            current.stop_asked = current.stop_asked or current.phase is Phase.STARTING
            if current.phase is Phase.READY:
                self._drain(current, now)

    def _reconfigure(self, event: Reconfigured) -> None:
        self.rules = self.health.rules = event.rules
        if event.spec is None:
            return
        self.spec = event.spec
        self.health.forget()
        current = self.current
        if current is not None and not current.stand_in:
            if current.phase is Phase.READY:
                self.renew = True
            if current.phase is Phase.STARTING:
                self.wanted = not (self.held or current.stop_asked)

    def _pass_time(self, now: float) -> None:
        current = self.current
        if current is None or current.stand_in or current.phase is not Phase.READY:
            self.renew = False
        if current is None:
            if self.kept is not None and now >= self.kept:
                self.kept = None
            self.health.pass_time(now)
        elif current.phase is Phase.READY:
            assert current.ready is not None
            if current.stop_asked:
                self._drain(current, now)
                return
            if not current.suspect:
                self.wanted = False
            if now >= self.health.healthy_at(current.ready):
                self.health.forget()

    # What the policy does about it.

    def _check(self, effect: Effect, event: Event, now: float) -> None:
        match effect:
            case Start():
                self._check_start(effect, event, now)
            case Stop():
                self._check_stop(effect, event, now)
            case WarmStop(number):
                self._check_warm_stop(number, now)
            case WarmStart(number):
                self._check_warm_start(number, effect)
            case Grant(waiters, number):
                record = self.live.get(number)
                expect(record is not None and record is self.current, "lent: not the current one")
                assert record is not None
                expect(record.phase is Phase.READY, f"lent while {record.phase}")
                expect(not record.suspect, "lent while suspect")
                self._settle(waiters)
                record.leases += len(waiters)
                most = self.rules.concurrency
                expect(most is None or record.leases <= most, "more leases than `concurrency`")
            case Refuse(waiters):
                why = self._why_refused(effect, event, now)
                expect(why, f"refused without a cause: {effect.error.message}")
                self._settle(waiters)
            case Probe(number):
                current = self.current
                expect(current is not None and current.number == number, "probed: not current")
            case Wake(at):
                expect(at >= now, "a timer in the past")
                self.timer = at if self.timer is None else min(self.timer, at)
            case SwapEnded(number, error):
                self.swaps -= 1
                expect(self.swaps >= 0, "a swap ended twice")
                others = [each for each in self.live.values() if each is not self.current]
                refused = number == 0 and error is not None
                expect(refused or not others, "a swap ended before what it left was gone")
            case _:
                pass

    def _settle(self, waiters: Sequence[int]) -> None:
        expect(waiters, "an effect for nobody")
        for waiter in waiters:
            expect(waiter in self.waiting, f"waiter {waiter} ended twice, or never came")
            del self.waiting[waiter]

    def _check_start(self, effect: Start, event: Event, now: float) -> None:
        expect(effect.generation > self.last, "a generation's number came back")
        expect(effect.trigger and effect.why, "a start without a cause")
        expect(not self.closed, "a start after the close")
        self.last = effect.generation
        stand_in = isinstance(event, StandInAsked) and effect.trigger == "stand-in"
        asked = isinstance(event, SwapAsked) and effect.trigger == "swap"
        renewed = self.renew and not (stand_in or asked) and effect.trigger == "swap"
        swap = stand_in or asked or renewed
        if renewed:
            self.renew = False
            self.swaps += 1
            expect(effect.spec == self.spec, "renewed as something else than the unit")
            expect(self.phase is Phase.READY, "renewed, and not there")
        record = Record(number=effect.generation, swap=swap, spec=effect.spec, stand_in=stand_in)
        if swap:
            others = [each for each in self.live.values() if each is not self.current]
            expect(not others, "a second swap")
            there = self.current is not None and self.current.stand_in
            taken = stand_in and there and self.phase is Phase.READY
            expect(not taken, "a second stand-in")
            expect(not (stand_in and self.held), "a stand-in for a unit that is held")
        else:
            expect(self.current is None, "a second worker in the same place")
            expect(not self.held, "a start while held")
            expect(self.waiting or self.wanted, "a start that nobody wants")
            expect(effect.spec == self.spec, "launched as something else than the unit")
            expect(self.kept is None or now >= self.kept, "a start while the place is kept")
            expect(not self.health.blocks(now), "a start before the backoff was over")
            self.health.pass_time(now)
            self.current, self.wanted = record, False
        self.live[effect.generation] = record

    def _check_warm_stop(self, number: int, now: float) -> None:
        self._check_idle(self._current(number, Phase.READY), now)
        record = self.current
        assert record is not None
        assert record.ready is not None
        expect(self.rules.warm is not None, "a warm stop that nobody wants")
        replaced = record.suspect or self.renew or record.spec != self.spec
        expect(not replaced, "a warm stop of what has to be replaced")
        self.health.serve(now - record.ready)
        record.leaves, record.warm, record.ready = True, None, None

    def _check_idle(self, record: Record | None, now: float) -> None:
        expect(record is not None, "an idle stop of what does not serve")
        assert record is not None
        expect(not record.stand_in, "an idle stop of a stand-in")
        expect(not record.leases, "an idle stop under a call")
        expect(not self.needed, "an idle stop of what others need")
        expect(not self.waiting, "an idle stop while somebody waits")
        idle = self.rules.idle
        expect(idle is not None and now >= record.quiet + idle, "an idle stop too early")

    def _check_warm_start(self, number: int, effect: WarmStart) -> None:
        record = self._current(number, Phase.WARM)
        expect(record is not None and record.warm is not None, "a warm start of what is not warm")
        assert record is not None
        expect(effect.trigger and effect.why, "a start without a cause")
        expect(not (self.held or self.closed), "a warm start of what was stopped")
        expect(self.waiting or self.wanted, "a start that nobody wants")
        expect(record.spec == self.spec, "it comes back as something else than the unit")
        record.leaves, record.resumes, self.wanted = False, True, False

    def _check_stop(self, effect: Stop, event: Event, now: float) -> None:
        record = self.live.get(effect.generation)
        expect(record is not None and not record.stopped, "a stop of what doesn't run")
        assert record is not None
        expect(effect.trigger and effect.why, "a stop without a cause")
        replaced = isinstance(event, Reconfigured) and event.spec is not None
        replaced = replaced and not record.stand_in
        asked = isinstance(event, StopAsked | Close) or replaced
        flipped = isinstance(event, Started) and self.current is not record
        of_it = getattr(event, "generation", None) == record.number
        ended = of_it and isinstance(event, Lost | Unresponsive)
        warm_failed = of_it and isinstance(event, Lost | Unresponsive | WarmFailed)
        evicted = of_it and isinstance(event, Evict)
        if evicted and record.drains is None:
            expect(self._is_free(record.number), "one that is used was put out")
            if record.ready is not None and not record.leaves:
                self.health.serve(now - record.ready)
        elif record.leaves and not (asked or flipped or warm_failed):
            expect(record.warm is not None, "it was ended while it leaves its lifespans")
            assert record.warm is not None
            expect(not self.waiting, "a process was ended that somebody waits for")
            warm = self.rules.warm
            expect(warm is None or now >= record.warm + warm, "a process was ended too early")
        elif record.leaves or (record.resumes and warm_failed):
            pass
        elif record.ready is None:
            failed = of_it and isinstance(event, StartFailed)
            alone = record.stop_asked and not self.waiting
            expect(failed or asked or flipped or alone, "a start was given up")
        elif record.swap:
            fit = of_it and isinstance(event, Started) and self.held
            expect(fit, "a swap was given up")
        elif effect.trigger == "idle":
            self._check_idle(record, now)
            replaced = record.suspect or self.renew or record.spec != self.spec
            expect(self.rules.warm is None or replaced, "a process was ended that was to stay")
            self.health.serve(now - record.ready)
        elif not ended:
            expect(record.drains is not None or record.stop_asked, "a stop that nobody asked for")
            over = record.drains is not None and now >= record.drains + self.rules.drain
            expect(not record.leases or over, "a stop under a call, before the drain was over")
        record.stopped, record.leases = True, 0

    def _why_refused(self, effect: Refuse, event: Event, now: float) -> str:
        text = effect.error.message
        if text.endswith("the master is leaving"):
            return "closed" if self.closed else ""
        if "was stopped while the call waited" in text:
            return "stopped" if isinstance(event, StopAsked) else ""
        if "is held" in text:
            return "held" if self.held else ""
        if "callers wait for it already" in text:
            # The one that is refused is among those who wait.
            full = len(self.waiting) > self.rules.queue
            return "full" if full and isinstance(effect.error, ResourceExhausted) else ""
        if "asked not to wait for a start" in text:
            lends = self.current is not None and self.current.phase is Phase.READY
            return "not running" if isinstance(event, Arrive) and not lends else ""
        if "start it with" in text or "the next try is in" in text:
            blocked = self.current is None and self.health.open and self.health.blocks(now)
            return "faulted" if blocked else ""
        if isinstance(event, StartFailed) and effect.error is event.error:
            return "start failed"
        return ""

    def _compare(self) -> None:
        state, current = self.state, self.current
        expect(state.waiters == tuple(self.waiting), "those who wait differ")
        number = None if state.current is None else state.current.number
        expect(number == (None if current is None else current.number), "the current one differs")
        generations = state.generations
        expect(len(generations) == len(self.live), "those that live differ")
        for generation in generations:
            record = self.live.get(generation.number)
            if record is None or generation.phase is not record.phase:
                raise Broken(f"generation {generation.number}: {generation} is not {record}")
            if record.leases < 0 or generation.leases != record.leases:
                raise Broken(f"leases: {generation.leases}, in truth {record.leases}")

    def _check_rest(self, now: float) -> None:
        """What can't stay as it is has a timer, or somebody else's turn to wait for."""
        current, timer = self.current, self.timer
        due = [
            record.drains + self.rules.drain
            for record in self.live.values()
            if record.drains is not None and not record.stopped
        ]
        if self.waiting:
            expect(not self.closed and not self.held, "a caller waits for a unit that is stopped")
            expect(len(self.waiting) <= self.rules.queue, "more callers wait than `queue` allows")
        if current is None:
            if self.waiting or self.wanted:
                health = self.health
                kept = self.kept is not None and now < self.kept
                expect(health.blocks(now) or kept, "nothing starts, and nothing stands against it")
                if self.kept is not None:
                    due.append(self.kept)
                expect(not (health.open and self.waiting), "a caller waits behind the breaker")
                if health.retry_at is not None and health.retry_at != float("inf"):
                    due.append(health.retry_at)
        elif current.phase is Phase.STARTING:
            expect(self.waiting or not current.stop_asked, "a start that is to be stopped goes on")
        elif current.phase is Phase.WARM:
            if current.warm is not None:
                expect(not (self.waiting or self.wanted), "nobody has it serve again")
                expect(self.rules.warm is not None, "a process stays that nobody wants")
                due.append(current.warm + (self.rules.warm or 0.0))
        elif current.phase is Phase.READY:
            assert current.ready is not None
            if self.waiting:
                most = self.rules.concurrency
                full = most is not None and current.leases >= most
                expect(full or current.suspect, "a caller waits for nothing")
            elif not (current.leases or current.stand_in or self.needed or self.rules.idle is None):
                due.append(current.quiet + self.rules.idle)
            if self.health.streak:
                due.append(self.health.healthy_at(current.ready))
        expect(
            not self.renew or len(self.live) > 1,
            "nothing is renewed, and nothing stands against it",
        )
        for record in self.live.values():
            if record.drains is not None and not record.stopped:
                expect(record.leases, "a drain that is over")
        if due:
            expect(timer is not None and timer <= min(due), "nothing will wake the unit")


def expect(holds: object, promise: str) -> None:
    if not holds:
        raise Broken(promise)
