"""One instance of a unit: what is done for it, from its start until nothing is left of it.

It decides nothing. What it finds out it reports as events; what is to be done it is told.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from hsu_worker.errors import Code, HandshakeError, RpcError, StartError
from hsu_worker.gen.hsu_core import CoreClient, PingRequest, State
from hsu_worker.interface import AnyInterface
from hsu_worker.master import policy
from hsu_worker.master.duration import NEVER
from hsu_worker.master.event import Crash
from hsu_worker.master.handshake import check_compatible
from hsu_worker.master.launcher import Ending, Worker, cancel
from hsu_worker.master.liveness import Liveness, Look, Verdict, together
from hsu_worker.master.process_stat import own_memory
from hsu_worker.wire.connection import Connection

log = logging.getLogger(__name__)

#: Seconds that a suspected worker has to answer.
PROBE_TIMEOUT = 2.0

#: Seconds in which the end of a process becomes known after its connection broke.
EXIT_BOUND = 1.0

#: So many times it is let in where what it depends on has gone meanwhile; then its calls may start that.
ENTRIES = 10

#: Lines of output that a crash keeps.
CRASH_LINES = 20


class Instance:
    """Starts, watches, probes and ends one worker.

    Args:
        worker: Not started yet.

        feed: Takes what the policy has to know.
    """

    def __init__(self, worker: Worker, feed: Callable[[policy.Event], None]) -> None:
        self.worker = worker
        self.generation = worker.generation
        self.calls = 0
        """The calls that it had when it was lost."""
        self.consequences: list[policy.Tell] = []
        """What follows from its end, to be told after it."""
        self.sent_away: policy.Stop | None = None
        """Why it is being ended, as soon as it is."""
        self.gone = asyncio.Event()
        """Set when nothing is left of it."""
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self.launched = self.began = self._loop.time()
        """When its present step began: its start, its warm stop, its warm start."""
        self._step: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._watching: set[asyncio.Task[None]] = set()
        self._lent: Connection | None = None
        """The worker's connection, as callers get it."""
        self._checked: set[AnyInterface] = set()
        """What its clients may call."""
        self._missed = False
        """It has not answered the last Ping, and used no CPU."""
        self._leaving = False
        self._ending: Ending | None = None
        self._lived = 0.0

    def start(self) -> None:
        """Start the worker; reports `Started` or `StartFailed`, then what befalls it."""
        self._step = asyncio.create_task(self._start())

    def stop_warm(self) -> None:
        """Have it leave its lifespans; reports `Warm` or `WarmFailed`."""
        self._begin(self._leave_lifespans, policy.Warm(self.generation))

    def start_warm(self) -> None:
        """Have it enter them again; reports `Started` or `WarmFailed`."""
        self._begin(self._enter_lifespans, policy.Started(self.generation))

    async def _leave_lifespans(self) -> None:
        await self.worker.stop_warm()
        self.worker.after()

    async def _enter_lifespans(self) -> None:
        within = self.worker.unit.start_timeout
        try:
            # It has room that others may need, so that what it depends on may wait for its end.
            async with asyncio.timeout(within):
                await self._find_ready()
        except TimeoutError:
            late = f"its `start_timeout` of {within:g} s is over, and it {self.worker.progress}"
            raise StartError(late) from None
        await self.worker.start_warm()
        self.worker.residence.ready()

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]], done: policy.Event) -> None:
        self.began = self._loop.time()
        self._step = asyncio.create_task(self._take(work, done))

    async def _take(
        self, work: Callable[[], Coroutine[Any, Any, None]], done: policy.Event
    ) -> None:
        # What it does meanwhile has a bound of its own.
        await cancel(self._looking)
        try:
            await work()
        except Exception as error:
            if not isinstance(error, RpcError):
                log.exception("unit %r: its warm stop or start failed", self.worker.unit.name)
            why = error.message if isinstance(error, RpcError) else str(error)
            self._feed(policy.WarmFailed(self.generation, why))
            return
        self._looking = self._keep(self._look_after())
        self._feed(done)

    def connection(self, interface: AnyInterface | None) -> Connection:
        """The connection of a worker that is ready.

        Raises:
            StartError: Its interface is not the one that the client knows.
        """
        worker = self.worker
        assert worker.connection is not None
        assert worker.handshake is not None
        if interface is not None and interface not in self._checked:
            unit = worker.unit
            try:
                check_compatible(
                    unit.name, interface, worker.handshake.interfaces, strict=unit.strict
                )
            except HandshakeError as error:
                raise StartError(str(error)) from error
            self._checked.add(interface)
        if self._lent is None:
            self._lent = replace(worker.connection, last_words=worker.last_words)
        return self._lent

    async def _start(self) -> None:
        unit = self.worker.unit.name
        try:
            await self._enter()
            await self.worker.start()
        except StartError as error:
            told, again = self.worker.residence.failed(error)
            unmet = self.worker.adopting and self.worker.handshake is None
            trigger = "adopt" if unmet else "start"
            self._feed(policy.StartFailed(self.generation, told, _draw(), again, trigger))
            return
        except Exception as error:
            # Whatever it was, nobody may wait for ever.
            log.exception("unit %r can't be started", unit)
            failure = StartError(f"unit {unit!r} did not start: {error}")
            self._feed(policy.StartFailed(self.generation, failure, _draw()))
            return
        self.worker.residence.ready()
        self._keep(self._watch())
        self._looking = self._keep(self._look_after())
        if self.worker.asleep:
            self.worker.after()
            self._feed(policy.Warm(self.generation))
        else:
            self._feed(policy.Started(self.generation))

    async def _enter(self) -> None:
        """Wait for what it depends on, and then for room."""
        for left in reversed(range(ENTRIES)):
            await self.worker.before()
            await self.worker.residence.enter()
            if not left or self.worker.adopting or self.worker.stands():
                return
            # Who had asked for room before may have needed that of one that it depends on.
            self.worker.residence.left(0)
            self.worker.after()

    async def _find_ready(self) -> None:
        """Wait for what it depends on, in the room that it has."""
        for left in reversed(range(ENTRIES)):
            await self.worker.before()
            if not left or self.worker.stands():
                return
            # One of them has gone while it waited for another.
            self.worker.after()

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return task

    async def _watch(self) -> None:
        try:
            ending = await self.worker.ended()
        except Exception as error:
            log.exception("unit %r can't be watched", self.worker.unit.name)
            ending = Ending(text=f"it can't be watched: {error}")
        self._ending = ending
        self._feed(
            policy.Lost(self.generation, ending.text, ending.clean, _draw(), ending.finishes)
        )

    async def _look_after(self) -> None:
        """Ping, for as long as it lives; reports `Unresponsive`."""
        unit = self.worker.unit
        liveness = Liveness(max_call=unit.max_call, cpu=self.worker.cpu_seconds())
        verdict = Verdict.FINE
        while unit.ping != NEVER:
            # After a miss the next look follows at once: each takes its own time to time out.
            if verdict is Verdict.FINE:
                await asyncio.sleep(together(self._loop.time(), unit.ping))
            else:
                await asyncio.sleep(unit.ping_timeout / 5)
            was = verdict
            liveness, verdict, text = liveness.look(await self._ping())
            self._missed = verdict is Verdict.MISSED
            match verdict:
                case Verdict.DEAD:
                    self._feed(policy.Unresponsive(self.generation, text, _draw()))
                    return
                case Verdict.FINE:
                    if was is Verdict.MISSED:
                        self._feed(policy.Alive(self.generation))
                    self._weigh()
                    continue
                case Verdict.MISSED:
                    # Whoever calls now had better wait for what the next looks show.
                    self._feed(policy.Suspect(self.generation, text, probe=False))
                case Verdict.AT_WORK:
                    pass
            log.warning("unit %s (generation %d): %s", unit.name, self.generation, text)

    def _weigh(self) -> None:
        """Report `Outgrown` when it has too much memory."""
        self.worker.residence.weigh()
        unit, pid = self.worker.unit, self.worker.pid
        own = own_memory(pid) if unit.restart_above is not None and pid else None
        if unit.restart_above is not None and own is not None and own > unit.restart_above:
            how = f"it has {own >> 20} MiB of its own; `restart_above` is {unit.restart_above >> 20} MiB"
            self._feed(policy.Outgrown(self.generation, how))

    async def _ping(self) -> Look:
        assert self.worker.connection is not None
        answered, busy, overdue, oldest = True, False, 0.0, 0.0
        try:
            answer = await CoreClient(self.worker.connection).ping(
                PingRequest(), timeout=self.worker.unit.ping_timeout
            )
            busy = answer.busy
            overdue = answer.most_overdue.ToTimedelta().total_seconds()
            oldest = answer.oldest_unbounded_call_age.ToTimedelta().total_seconds()
        except RpcError as error:
            # A foreign worker may do without; what it answers, it answers.
            answered = error.code not in (Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE)
        return Look(
            at=self._loop.time(),
            answered=answered,
            busy=busy,
            overdue=overdue,
            oldest=oldest,
            cpu=self.worker.cpu_seconds(),
        )

    def probe(self) -> None:
        """Find out whether it still takes calls; reports `Alive`, `Leaving` or `Unresponsive`."""
        self._keep(self._probe())

    async def _probe(self) -> None:
        assert self.worker.connection is not None
        try:
            answer = await CoreClient(self.worker.connection).ping(
                PingRequest(), timeout=PROBE_TIMEOUT
            )
        except RpcError as error:
            if error.code is Code.UNAVAILABLE:
                # Mostly a process that has ended: the watch says more, and cancels this. Otherwise
                # one that has closed its server, and still has something to do.
                await asyncio.sleep(EXIT_BOUND)
                self._leave()
            elif not self._missed:
                # Slow is what the liveness is for.
                self._feed(policy.Alive(self.generation))
            return
        if answer.state == State.STATE_RUNNING:
            self._feed(policy.Alive(self.generation))
        else:
            self._leave()

    def _leave(self) -> None:
        self._leaving = True
        self._feed(policy.Leaving(self.generation))

    async def stop(self, *, force: bool) -> Ending:
        """End it, and wait until nothing is left; returns how it ended."""
        await cancel(*self._watching)
        if self._step is not None and not self._step.done():
            await cancel(self._step)
        began = self.worker.alive_since if self.worker.adopting else self.launched
        self._lived = 0.0 if began is None else self._loop.time() - began
        try:
            ending = await self.worker.stop(force=force, leaving=self._leaving)
        except Exception:
            log.exception("unit %r: what is left can't be removed", self.worker.unit.name)
            ending = Ending(text="unknown")
        self.worker.after()
        self.worker.residence.left(ending.peak_memory)
        # The watch was told first, and an end that was not wanted tells more than the clean-up.
        return self._ending or ending

    def crash(self, ending: Ending) -> Crash:
        """What is known of an end that was not wanted, once it has come."""
        return Crash(
            text=ending.text,
            code=ending.code,
            signal=ending.signal,
            calls=self.calls,
            peak_memory=ending.peak_memory,
            uptime=self._lived,
            output=tuple(self.worker.log.tail(self.generation, CRASH_LINES)),
        )


def _draw() -> float:
    return random.random()  # noqa: S311  jitter is no secret
