"""The owner of what is decided about residency: lets workers start, and has others sent away."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import Final

from hsu_worker.errors import StartError
from hsu_worker.master import residency
from hsu_worker.master.alarm import Alarm
from hsu_worker.master.launcher import Worker
from hsu_worker.master.policy import Generation, Phase, State, evictions
from hsu_worker.master.process_stat import own_memory
from hsu_worker.master.replicas import Owner, Replicas
from hsu_worker.master.residence import Residence
from hsu_worker.master.residency import Tenant, Use, texts
from hsu_worker.master.shortage import oom_kills, ran_short

log = logging.getLogger(__name__)

#: So many times what a look takes, the next one waits: it may take a tenth of the loop, and no more.
PAUSES: Final = 10

#: Seconds; nobody shall wait for longer because one look was slow.
LONGEST_PAUSE: Final = 0.1

_LEAVING: Final = Use(leaving=True)


class Admission:
    """Lets in the workers that a master launches, as the rules of the moment allow.

    Args:
        units: By name; one that is missing is on its way out.
    """

    def __init__(self, units: Mapping[str, Owner]) -> None:
        self._units = units
        self._state = residency.State()
        self._ledger = residency.Ledger(self._seen)
        self._waiting: dict[Tenant, _Place] = {}
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._look)
        self._stirred: asyncio.TimerHandle | None = None
        self._pause = 0.0

    @property
    def state(self) -> residency.State:
        """Who is resident, and who waits; for reading."""
        return self._state

    def configure(self, rules: residency.Rules) -> None:
        """Let these rules hold from now on, for those that are resident, too."""
        self.feed(residency.Configured(rules))
        # Some units may be new.
        self._listen()

    def take(self, worker: Worker) -> None:
        """Have a worker wait for its turn before it starts."""
        worker.residence = _Place(self, worker)

    def close(self) -> None:
        """Look no more."""
        self._alarm.cancel()
        if self._stirred is not None:
            self._stirred.cancel()

    def ask(self, place: "_Place") -> None:
        """A worker wants in."""
        self._waiting[place.tenant] = place
        self.feed(residency.Ask(place.tenant, place.there, place.since, place.alone))
        place.since = place.since or self._loop.time()

    def leave(self, place: "_Place", peak: int) -> None:
        """Nothing is left of a worker, or it wants in no more."""
        self._waiting.pop(place.tenant, None)
        self.feed(residency.Left(place.tenant, peak))

    def feed(self, event: residency.Event) -> tuple[residency.Effect, ...]:
        """Decide, and do what was decided."""
        before = self._state
        self._state, effects = residency.decide(before, event, self._ledger, self._loop.time())
        if self._state.restless is not before.restless:
            self._listen()
        for effect in effects:
            self._do(effect)
        return tuple(effects)

    def _listen(self) -> None:
        # Each call comes by there: nobody is told while nobody waits.
        restless = self._state.restless
        for name, unit in self._units.items():
            unit.on_event = partial(self._stir, name) if restless else None

    def _do(self, effect: residency.Effect) -> None:
        match effect:
            case residency.Admit(tenant):
                self._waiting.pop(tenant).let_in()
            case residency.Refuse(tenant, why):
                self._waiting.pop(tenant).refuse(why)
            case residency.Evict(tenant, why, drain):
                self._units[tenant.unit].evict(tenant.generation, why, drain=drain)
            case residency.Tell(tenant, note):
                self._waiting[tenant].tell(note)
            case residency.Wake(at):
                self._alarm.set(at)
            case residency.Retry():
                pass

    def find(self, tenant: Tenant) -> tuple[State, Generation] | None:
        """What its unit knows of its place and of itself; None: it is on its way out."""
        owner = self._units.get(tenant.unit)
        unit = owner.holder(tenant.generation) if isinstance(owner, Replicas) else owner
        generation = None if unit is None else unit.state.find(tenant.generation)
        if unit is None or generation is None:
            return None
        leaves = generation.phase in (Phase.DRAINING, Phase.STOPPING)
        return None if leaves else (unit.state, generation)

    def _seen(self, tenant: Tenant) -> Use:
        if (found := self.find(tenant)) is None:
            return _LEAVING
        state, generation = found
        wanted = generation is state.current and (state.waiters or state.needed)
        # One that leaves its lifespans can't be ended before it has.
        warm = generation.phase is Phase.WARM and generation.warm_since is not None
        # While a swap waits, another one may have come into the place.
        old = state.current if generation is state.candidate else None
        return Use(
            ready=warm or generation.phase is Phase.READY,
            busy=bool(generation.leases or wanted),
            needed=generation is state.current and state.needed > 0,
            last=generation.quiet_since,
            replaces=None if old is None else Tenant(tenant.unit, old.number),
            swap=generation is state.candidate,
        )

    def _stir(self, unit: str) -> None:
        self._ledger.stir(unit)
        # Once for all that happens in one turn of the loop, and where many wait, in some more.
        if self._stirred is None:
            self._stirred = self._loop.call_later(self._pause, self._look)

    def _look(self) -> None:
        if self._stirred is not None:
            self._stirred.cancel()
            self._stirred = None
        began = perf_counter()
        self.feed(residency.Look())
        self._pause = min(PAUSES * (perf_counter() - began), LONGEST_PAUSE)


class _Place(Residence):
    """Of a worker that waits for its turn."""

    def __init__(self, admission: Admission, worker: Worker) -> None:
        self.tenant = Tenant(worker.unit.name, worker.generation)
        self.there = worker.adopting
        self.since: float | None = None
        """When it asked first."""
        self._admission = admission
        self._worker = worker
        self._turn: asyncio.Future[None]
        self._detail = worker.detail
        self._kills = 0
        self._warned = False

    async def enter(self) -> None:
        self._turn = asyncio.get_running_loop().create_future()
        self._admission.ask(self)
        await self._turn
        self._kills = oom_kills()

    def let_in(self) -> None:
        """It may start."""
        self._worker.progress, self._worker.detail = "", self._detail
        if not self._turn.done():
            self._turn.set_result(None)

    def refuse(self, why: str) -> None:
        """It can never start."""
        if not self._turn.done():
            self._turn.set_exception(self._worker.failed(why))

    def tell(self, note: str) -> None:
        """Say what it waits for."""
        self._worker.progress = self._worker.detail = note
        self._worker.on_progress(0.0, note)

    def ready(self) -> None:
        # Somebody may be let in as soon as it is ready.
        self.weigh()
        self._admission.feed(residency.Ready(self.tenant))

    def weigh(self) -> None:
        pid, unit = self._worker.pid, self._worker.unit.name
        rules = self._admission.state.rules
        memory = own_memory(pid) if rules.pools_of(unit) and pid is not None else None
        if memory is None:
            return
        member = rules.members[unit]
        if member.memory is None:
            self._admission.feed(residency.Weighed(self.tenant, memory))
        elif memory > member.memory and not self._warned:
            self._warned = True
            log.warning(
                "unit %r has %s, and its `memory` says %s: raise it, or others get too little",
                unit,
                texts.size(memory),
                texts.size(member.memory),
            )

    def failed(self, error: StartError) -> tuple[StartError, str]:
        if not ran_short(self._worker, error, self._kills):
            return error, ""
        found = self._admission.find(self.tenant)
        again = found is not None and evictions.tries_again(*found)
        for effect in self._admission.feed(residency.RanShort(self.tenant, again)):
            if isinstance(effect, residency.Retry):
                return error, effect.why
        if self.alone:
            why = "memory ran out, also with nobody else there that could be sent away"
            return StartError(f"{error.message}\n{why}"), ""
        return error, ""

    def left(self, peak: int) -> None:
        self._admission.leave(self, peak)
