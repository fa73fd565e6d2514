"""What a worker is doing, and the only place that changes it."""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncGenerator, Callable
from contextvars import copy_context
from typing import Final

from hsu_worker.app import App
from hsu_worker.authoring.call import PROGRESS
from hsu_worker.errors import FailedPrecondition, RpcError, StartError
from hsu_worker.gen.hsu_core import (
    STATE_DRAINING,
    STATE_FAILED,
    STATE_RUNNING,
    STATE_STARTING,
    STATE_STOPPED,
    STATE_STOPPING,
    StartResponse,
    State,
)
from hsu_worker.serving.calls import Calls
from hsu_worker.serving.failures import not_running
from hsu_worker.serving.tracebacks import without_ours
from hsu_worker.wire.status import sendable_message

log = logging.getLogger(__name__)

#: The name of the task that enters and leaves them.
LIFESPANS: Final = "hsu-lifespans"
#: Seconds that leaving the lifespans may take in all, once the process is on its way out. What comes
#: before and after has to fit into the contract's 10 s, too.
LEAVE_TIMEOUT: Final = 7.0


def nothing() -> None:
    """Nobody has to know."""


class _Run:
    """One time that the lifespans are entered and left."""

    def __init__(self) -> None:
        self.progress = StartResponse(state=STATE_STARTING)
        self.outcome: StartResponse | None = None
        """The start's last message, once it has ended."""
        self.leave = asyncio.Event()
        self.task: asyncio.Task[None]


class Lifecycle:
    """The state of one worker; Start, Stop and Shutdown of Core are calls to it.

    Args:
        app: What has lifespans.

        calls: Those that a stop waits for.

        started: Called when the lifespans have been entered, or have failed: their code may have
            set up the process's logging anew.
    """

    def __init__(self, app: App, calls: Calls, started: Callable[[], None] = nothing) -> None:
        self._app = app
        self._calls = calls
        self._started = started
        self._loop = asyncio.get_running_loop()
        # Lifespans belong to no call, not even to Core.Start.
        self._context = copy_context()
        self._run: _Run | None = None
        self._stop: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.state: State = STATE_STOPPED
        self.reason = ""
        """Why the last start failed; empty in every other state than FAILED."""
        self.failure: BaseException | None = None
        """What a lifespan raised; None in every other state than FAILED."""
        self.leave_failure: BaseException | None = None
        """What a lifespan raised when it was left, the last time that one did."""

    @property
    def state_name(self) -> str:
        """The state as people write it: `RUNNING`."""
        return State.Name(self.state).removeprefix("STATE_")

    @property
    def is_running(self) -> bool:
        """Calls are answered."""
        return self.state == STATE_RUNNING

    def gate(self) -> RpcError | None:
        """Why a call is refused now; None in RUNNING."""
        return None if self.is_running else not_running(self.state_name)

    async def changed(self) -> None:
        """Wait until the state, or the progress of a start, is another one."""
        await self._changed.wait()

    async def start(self) -> AsyncGenerator[StartResponse, None]:
        """Enter the lifespans, or join whoever does; ends with RUNNING or FAILED.

        Whoever leaves the generator doesn't stop the start.

        Raises:
            FailedPrecondition: The worker is on its way out.
        """
        while self._stop is not None:
            await asyncio.wait((self._stop,))
        if self.state == STATE_DRAINING:
            raise FailedPrecondition("the worker is DRAINING, and starts nothing more")
        run = self._run
        if run is None:
            run = self._run = _Run()
            self._set(STATE_STARTING)
            run.task = asyncio.create_task(
                self._live(run), name=LIFESPANS, context=self._context.copy()
            )
        told: StartResponse | None = None
        while run.outcome is None:
            if told is not run.progress:
                told = run.progress
                yield told
            else:
                await self.changed()
        yield run.outcome

    async def started(self) -> None:
        """Enter the lifespans, or join whoever does.

        Raises:
            BaseException: What a lifespan raised.

            FailedPrecondition: The worker is on its way out.
        """
        last = [step async for step in self.start()][-1]
        if last.state != STATE_RUNNING:
            raise self.failure or StartError(last.reason)

    async def stop(self) -> State:
        """Leave the lifespans once the calls in flight have ended; the process stays."""
        if self.state == STATE_DRAINING:
            return self.state
        if self._stop is None:
            self._stop = asyncio.create_task(self._stop_now(), name="hsu-stop")
        # Whoever asked may leave; what has begun goes on.
        await asyncio.wait((self._stop,))
        return STATE_DRAINING if self.state == STATE_DRAINING else STATE_STOPPED

    def drain(self) -> None:
        """Refuse new calls from now on, for good."""
        self._set(STATE_DRAINING)

    async def finish(self, timeout: float = LEAVE_TIMEOUT) -> None:
        """Leave the lifespans, within a bound, on the way out."""
        run = self._run
        if run is None:
            return
        self._ask_to_leave(run)
        _, pending = await asyncio.wait((run.task,), timeout=timeout)
        if pending:
            log.error("the lifespans were not left within %g s; the process ends anyway", timeout)
            self._run = None

    async def _stop_now(self) -> None:
        try:
            run = self._run
            if run is not None:
                was_running = self.is_running
                self._set(STATE_STOPPING)
                if was_running:
                    await self._calls.ended()
                self._ask_to_leave(run)
                await asyncio.wait((run.task,))
            self._set(STATE_STOPPED)
        finally:
            self._stop = None

    def _ask_to_leave(self, run: _Run) -> None:
        if not run.leave.is_set():
            run.leave.set()
            if run.outcome is None:
                run.task.cancel()

    async def _live(self, run: _Run) -> None:
        """Enter and leave the lifespans, both in this task: cancel scopes demand it."""
        began = time.monotonic()
        PROGRESS.set(lambda fraction, text: self._report(run, fraction, text))
        failure: BaseException | None = None
        try:
            async with self._app.lifespans():
                self._started()
                if not run.leave.is_set():
                    run.outcome = StartResponse(state=STATE_RUNNING, fraction=1.0)
                    self._set(STATE_RUNNING)
                    log.info("running after %.3f s", time.monotonic() - began)
                await run.leave.wait()
        # Also what sys.exit() raises: a lifespan ends its start, never the process.
        except BaseException as error:
            failure = error
        finally:
            self._run = None
        self._started()
        started = run.outcome is not None and run.outcome.state == STATE_RUNNING
        if run.leave.is_set():
            if failure is not None and not isinstance(failure, asyncio.CancelledError):
                self.leave_failure = failure
                log.error("a lifespan failed while it was left", exc_info=without_ours(failure))
            reason = "stopped before it had started"
        else:
            assert failure is not None
            # With its notes. An exception's text may be anything, and has to go through a message.
            reason = sendable_message("".join(traceback.format_exception_only(failure)).strip())
            what = "running" if started else "start"
            log.error("%s failed: %s", what, reason, exc_info=without_ours(failure))
            self._set(STATE_FAILED, reason, failure)
        if not started:
            run.outcome = StartResponse(state=STATE_FAILED, reason=reason)
        self._ring()

    def _report(self, run: _Run, fraction: float, text: str) -> None:
        # Called in the thread of a synchronous lifespan, too.
        def keep() -> None:
            run.progress = StartResponse(
                state=STATE_STARTING, fraction=fraction, text=sendable_message(text)
            )
            self._ring()

        self._loop.call_soon_threadsafe(keep)

    def _set(self, state: State, reason: str = "", failure: BaseException | None = None) -> None:
        if self.state != STATE_DRAINING:
            self.state, self.reason, self.failure = state, reason, failure
            self._ring()

    def _ring(self) -> None:
        self._changed.set()
        self._changed.clear()
