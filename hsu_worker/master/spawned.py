"""A worker that the master launches: docs/launch-contract.md, from the master's side."""

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Unpack

from google.protobuf.duration_pb2 import Duration

from hsu_worker.errors import Dispatch, HsuError, LaunchError, RpcError, StartError, Unavailable
from hsu_worker.gen.hsu_core import CoreClient, ShutdownRequest
from hsu_worker.master.environment import child_environment
from hsu_worker.master.folder import socket_name
from hsu_worker.master.keeping import Exit, Process
from hsu_worker.master.launcher import Ending, Worker, cancel
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.means import Means
from hsu_worker.master.output_pipes import OutputPipes
from hsu_worker.master.process_limits import process_limits
from hsu_worker.master.process_stat import cpu_seconds
from hsu_worker.master.standstill import Standstill
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.template import template_of
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import MAX_LINE, Announcement
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.launch import LaunchVariables

log = logging.getLogger(__name__)

#: Seconds that a worker has to answer Core.Shutdown, which it does as soon as draining has begun.
SHUTDOWN_ANSWER: Final = 2.0

#: Seconds of its grace that are left for a group whose leader took all of them.
TERM_LEAST: Final = 0.5

#: Seconds that the kernel has to end a group that was killed.
KILL_BOUND: Final = 5.0

#: Seconds in which the exit of a process becomes known whose connection broke.
EXIT_BOUND: Final = 1.0


class Spawned(Worker):
    """A process of its own, which the keeper watches.

    Until it becomes a generation, it has a log of its own.

    Args:
        folder: A 0700 folder for the socket.

        gateway: The master's address.
    """

    def __init__(
        self, unit: UnitConfig, *, folder: Path, gateway: str, **means: Unpack[Means]
    ) -> None:
        super().__init__(unit, 0, UnitLog(), master_id=means["master_id"])
        self._keeper = means["keeper"]
        self._instance = secrets.token_hex(16)
        self._token = secrets.token_urlsafe(32)
        self._socket = folder / socket_name(unit.name, self._instance)
        self._asked = (
            Address.parse(f"unix:{self._socket}")
            if unit.listen == "unix"
            else Address.parse("tcp:127.0.0.1:0")
        )
        self._slots = means["slots"]
        self._tell_unforkable = means["tell_unforkable"]
        self._tokens = means["tokens"]
        self._gateway = gateway
        self._gateway_token = self._tokens.issue()
        self._process: Process | None = None
        self._lifeline: int | None = None
        self._pipes = OutputPipes()
        self._announced: asyncio.Future[Announcement] = asyncio.get_running_loop().create_future()
        self._standstill = Standstill(self)
        self._follower: asyncio.Task[object] | None = None
        self._last_words = ""

    def become(self, generation: int, unit_log: UnitLog) -> None:
        """From now on it belongs to a generation of its unit, and so does what it has said."""
        early, self.log, self.generation = self.log, unit_log, generation
        for line in early.lines():
            unit_log.append(generation, line.source, line.text)

    async def prepare(self) -> None:
        """All of a start that can be done before anybody needs it: process, announce line, handshake.

        Raises:
            StartError: It won't come; the message says why.
        """
        async with self._turn():
            await self._in_time(self._prepare)

    async def start(self) -> None:
        """Spawn, wait for the announce line, shake hands, enter the lifespans."""
        async with self._turn():
            await self._in_time(self._start)

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Wait for a slot, which is held until the process has announced itself."""
        if self._slots is None or self._process is not None:
            yield
            return
        self.progress = self.detail = "waits for a start slot"
        release = await self._slots.take()
        self.progress = self.detail = ""
        self._announced.add_done_callback(lambda _: release())
        try:
            yield
        finally:
            release()

    async def _in_time(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            async with asyncio.timeout(self.unit.start_timeout):
                await work()
        except TimeoutError:
            raise self.failed(self._standstill.late()) from None
        except HsuError as error:
            raise self.explain(error) from error

    async def _prepare(self) -> None:
        await self._spawn()
        await self._alive_until(self._meet())

    async def _start(self) -> None:
        if self.handshake is None:
            await self._prepare()
        else:
            # What it has to stand was not known when it shook hands.
            self.verify(self.handshake)
        await self._alive_until(self._begin())

    async def _spawn(self) -> None:
        child_ends: list[int] = []
        try:
            child_ends.append(self._stdin())
            for source in ("stdout", "stderr"):
                child_ends.append(await self._output(source))  # noqa: PERF401  one may fail
            child_ends.append(await self._pipes.open(self._take_announcement))
            environment = child_environment(self.unit, os.environ)
            self._process = await self._keeper.spawn(
                self.unit.argv,
                env={**environment, **self._variables()},
                cwd=str(self.unit.cwd),
                stdin=child_ends[0],
                stdout=child_ends[1],
                stderr=child_ends[2],
                announce=child_ends[3],
                template=template_of(self.unit, environment),
                limits=process_limits(self.unit),
                before=self._before_spawn,
            )
        except OSError as error:
            raise LaunchError(f"the process can't be made: {error}") from error
        finally:
            for descriptor in child_ends:
                os.close(descriptor)
        self.pid = self._process.pid
        self.detail = f"pid {self._process.pid}{', forked' * self._process.forked}"
        if self._process.unforkable:
            self._tell_unforkable(self.unit.name, self._process.unforkable)

    def _stdin(self) -> int:
        reading, self._lifeline = os.pipe()
        return reading

    async def _output(self, source: str) -> int:
        return await self._pipes.open(self._taker(source))

    def _before_spawn(self, mark: str) -> None:
        """Whatever carries the mark from now on belongs to this instance."""

    def _variables(self) -> dict[str, str]:
        variables = LaunchVariables(
            instance=self._instance,
            unit=self.unit.name,
            listen=str(self._asked),
            token=self._token,
            master=self._gateway,
            master_token=self._gateway_token,
        )
        return dict(variables.environment())

    def _taker(self, source: str) -> Callable[[str], None]:
        def take(line: str) -> None:
            # A worker without the descriptor announces itself on stdout.
            unknown = source == "stdout" and not self._announced.done()
            if unknown and line.startswith("HSU ") and self._instance in line:
                self._take_announcement(line)
            else:
                if source == "stdout" and line.startswith("HSU "):
                    self._standstill.foreign = line[:200]
                self.log.append(self.generation, source, line)

        return take

    def _take_announcement(self, line: str) -> None:
        if self._announced.done():
            return
        data = line.encode()[: MAX_LINE + 1] + b"\n"
        try:
            announcement = Announcement.parse(data, instance=self._instance, asked=self._asked)
        except LaunchError as error:
            self._announced.set_exception(error)
        else:
            self._announced.set_result(announcement)

    async def _alive_until(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a step of the start; raises as soon as the process ends or nothing moves."""
        assert self._process is not None
        task = asyncio.ensure_future(work)
        exited = asyncio.ensure_future(self._process.exited())
        try:
            while True:
                self._standstill.begins()
                moved = asyncio.ensure_future(self._standstill.moved.wait())
                try:
                    done, _ = await asyncio.wait(
                        (task, exited, moved),
                        timeout=self.unit.stall,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                finally:
                    moved.cancel()
                if task in done and _is_broken(task.exception()):
                    # A broken connection is mostly a process that ended: its exit says more.
                    await asyncio.wait((exited,), timeout=EXIT_BOUND)
                if task in done and (not exited.done() or task.exception() is None):
                    await task
                    self._standstill.ends()
                    return
                if exited.done():
                    await self._pipes.drained()
                    self.killed = exited.result().signal == signal.SIGKILL
                    announced = self._announced.done()
                    step = "before it was ready" if announced else "before it announced itself"
                    how = f"{self._command()} ended {step}: {exited.result()}"
                    raise LaunchError(how + self._standstill.cure())
                if not done:
                    raise LaunchError(self._standstill.stalled())
        finally:
            await cancel(task, exited)

    async def _meet(self) -> None:
        announcement = await asyncio.shield(self._announced)
        self._standstill.announced = True
        self._standstill.moved.set()
        connection = Connection.open(announcement.address, token=self._token, message_bytes=-1)
        self.connection = connection
        try:
            await self.greet(connection, self._instance)
        except Unavailable as error:
            if error.dispatched is not Dispatch.NO:
                raise
            raise LaunchError(
                f"it announced {announcement.address}, and nobody listens there: announce when the "
                "server answers"
            ) from error
        self._standstill.moved.set()

    async def _begin(self) -> None:
        self._follow()
        await self._resume()

    def _follow(self) -> None:
        assert self.connection is not None
        follow = self.follow_log(self.connection, self._instance)
        self._follower = asyncio.ensure_future(follow)

    async def start_warm(self) -> None:
        """Enter the lifespans again, within the bounds of a start."""
        await self._in_time(lambda: self._alive_until(self._resume()))

    async def _resume(self) -> None:
        assert self.connection is not None
        await self.run_lifespans(self.connection, self._standstill.moved.set)

    def _command(self) -> str:
        return f"command {' '.join(self.unit.argv)!r}"

    async def ended(self) -> Ending:
        """Wait for the exit of the process."""
        assert self._process is not None
        return _ending(await self._process.exited())

    async def last_words(self) -> str:
        """How its process ended, within `EXIT_BOUND`, and its last output."""
        assert self._process is not None
        try:
            async with asyncio.timeout(EXIT_BOUND):
                how = await self._process.exited()
        except TimeoutError:
            return ""
        await self._pipes.drained()
        # It is asked by every call that it had.
        if not self._last_words:
            ended = f"unit {self.unit.name!r}: the worker ended: {how}"
            self._last_words = self.with_output(ended)
        return self._last_words

    def note(self) -> str:
        """How far it is, as it said last; else its step, and since when nothing has moved."""
        return self.progress or self._standstill.note()

    def cpu_seconds(self) -> float | None:
        """The CPU time of the process that the keeper started."""
        return None if self._process is None else cpu_seconds(self._process.pid)

    async def stop(self, *, force: bool = False, leaving: bool = False) -> Ending:
        """Shutdown, SIGTERM to the group, SIGKILL to the group; wait until nobody is left."""
        how = Ending(text="never started")
        if self._process is not None:
            how = await self._end(self._process, force=force, leaving=leaving)
        # The worker's last records come with the end of its stream.
        await self._pipes.drained(self._follower)
        await cancel(self._follower)
        self._pipes.close()
        self._close_lifeline()
        if self.connection is not None:
            await self.connection.close()
        self._tokens.revoke(self._gateway_token)
        if self._announced.done() and not self._announced.cancelled():
            self._announced.exception()
        self._remove_socket()
        return how

    def _remove_socket(self) -> None:
        self._socket.unlink(missing_ok=True)
        # A worker of ours keeps a lock beside its socket.
        Path(f"{self._socket}.lock").unlink(missing_ok=True)

    async def _end(self, process: Process, *, force: bool, leaving: bool) -> Ending:
        exited = asyncio.ensure_future(process.exited())
        gone = asyncio.ensure_future(process.gone())
        loop = asyncio.get_running_loop()
        until = loop.time() + self.unit.grace
        try:
            # One that is dead already can't answer, and isn't asked.
            await asyncio.wait((exited,), timeout=0)
            if not (exited.done() or force) and (leaving or await self._asked_to_leave()):
                await asyncio.wait((exited,), timeout=until - loop.time())
            # Whoever holds the lifeline's end would wait for it for ever.
            self._close_lifeline()
            if not gone.done() and not force:
                process.signal(signal.SIGTERM)
                await asyncio.wait((gone,), timeout=max(until - loop.time(), TERM_LEAST))
            if not gone.done():
                process.signal(signal.SIGKILL)
                await asyncio.wait((gone,), timeout=KILL_BOUND)
                if not gone.done():
                    log.error("unit %r: pid %d outlives SIGKILL", self.unit.name, process.pid)
            ending = _ending(exited.result() if exited.done() else Exit(None, None, 0))
            if process.strays:
                pids = ", ".join(map(str, process.strays))
                text = f"{ending.text}; left behind: pid {pids}, which can't be told to be its own"
                log.warning("unit %r: %s, and ends with the master", self.unit.name, text)
                return replace(ending, text=text)
            return ending
        finally:
            await cancel(exited, gone)

    async def _asked_to_leave(self) -> bool:
        if self.handshake is None or self.connection is None:
            return False
        with suppress(RpcError):
            await CoreClient(self.connection).shutdown(
                ShutdownRequest(grace=Duration(seconds=1)),
                timeout=min(SHUTDOWN_ANSWER, self.unit.grace),
            )
            return True
        return False

    def _close_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def _ending(process: Exit) -> Ending:
    return Ending(
        text=str(process),
        code=process.code,
        signal=process.signal,
        peak_memory=process.maxrss,
        clean=process.code == 0,
    )


def _is_broken(error: BaseException | None) -> bool:
    return isinstance(error, Unavailable) and not isinstance(error, StartError)
