"""A worker that the master launches: docs/launch-contract.md, from the master's side."""

import asyncio
import os
import secrets
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from hsu_worker.errors import HsuError, LaunchError, RpcError, StartError, Unavailable
from hsu_worker.gen.hsu_core import CoreClient, ShutdownRequest
from hsu_worker.master.environment import child_environment
from hsu_worker.master.keeping import Keeper, Process
from hsu_worker.master.launcher import Worker, cancel
from hsu_worker.master.logs import OutputPipe, UnitLog
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import MAX_LINE, Announcement
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.launch import LaunchVariables

#: Seconds that a worker has to answer Core.Shutdown, which it does as soon as draining has begun.
SHUTDOWN_ANSWER: Final = 2.0

#: Seconds that the kernel has to end a group that was killed.
KILL_BOUND: Final = 5.0

#: Seconds that pipes are read after the last process of a worker has ended: a process that escaped
#: may hold them.
PIPE_BOUND: Final = 1.0


class Spawned(Worker):
    """A process of its own, which the keeper watches.

    Args:
        keeper: Spawns and reaps.

        folder: A 0700 folder for the socket.
    """

    def __init__(
        self,
        unit: UnitConfig,
        generation: int,
        unit_log: UnitLog,
        *,
        master_id: str,
        keeper: Keeper,
        folder: Path,
    ) -> None:
        super().__init__(unit, generation, unit_log, master_id=master_id)
        self._keeper = keeper
        self._instance = secrets.token_hex(16)
        self._token = secrets.token_urlsafe(32)
        self._socket = folder / f"{unit.name[:15]}-{self._instance[:8]}-{generation}.sock"
        self._asked = (
            Address.parse(f"unix:{self._socket}")
            if unit.listen == "unix"
            else Address.parse("tcp:127.0.0.1:0")
        )
        self._process: Process | None = None
        self._lifeline: int | None = None
        self._pipes: list[tuple[asyncio.ReadTransport, OutputPipe]] = []
        self._announced: asyncio.Future[Announcement] = asyncio.get_running_loop().create_future()
        self._progress = asyncio.Event()
        self._follower: asyncio.Task[object] | None = None

    @property
    def argv(self) -> list[str]:
        """The command."""
        if self.unit.app:
            return [str(self.unit.python), "-m", "hsu_worker.worker", self.unit.app]
        return list(self.unit.command or ())

    async def start(self) -> None:
        """Spawn, wait for the announce line, shake hands, enter the lifespans."""
        try:
            async with asyncio.timeout(self.unit.start_timeout):
                await self._spawn()
                await self._alive_until(self._connect())
        except TimeoutError:
            raise self.failed(
                f"start timeout: not ready {self.unit.start_timeout:g} s after its launch; "
                "raise its `start_timeout`"
            ) from None
        except HsuError as error:
            raise self.explain(error) from error

    async def _spawn(self) -> None:
        child_ends: list[int] = []
        try:
            stdin, self._lifeline = os.pipe()
            child_ends.append(stdin)
            for take in (self._taker("stdout"), self._taker("stderr"), self._take_announcement):
                child_ends.append(await self._pipe(OutputPipe(take)))  # noqa: PERF401  one may fail
            self._process = await self._keeper.spawn(
                self.argv,
                env={**child_environment(self.unit, os.environ), **self._variables()},
                cwd=str(self.unit.cwd),
                stdin=child_ends[0],
                stdout=child_ends[1],
                stderr=child_ends[2],
                announce=child_ends[3],
            )
        except OSError as error:
            raise LaunchError(f"the process can't be made: {error}") from error
        finally:
            for descriptor in child_ends:
                os.close(descriptor)
        self.detail = f"pid {self._process.pid}"

    def _variables(self) -> dict[str, str]:
        variables = LaunchVariables(
            instance=self._instance,
            unit=self.unit.name,
            listen=str(self._asked),
            token=self._token,
        )
        return dict(variables.environment())

    async def _pipe(self, reader: OutputPipe) -> int:
        """Make a pipe, read its one end for ever, and return the other."""
        ours, theirs = os.pipe()
        try:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: reader, os.fdopen(ours, "rb", 0)
            )
        except BaseException:
            os.close(theirs)
            raise
        self._pipes.append((transport, reader))
        return theirs

    def _taker(self, source: str) -> Callable[[str], None]:
        def take(line: str) -> None:
            # A worker without the descriptor announces itself on stdout.
            if source == "stdout" and line.startswith("HSU ") and self._instance in line:
                self._take_announcement(line)
            else:
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
                self._progress.clear()
                moved = asyncio.ensure_future(self._progress.wait())
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
                    await asyncio.wait((exited,), timeout=PIPE_BOUND)
                if task in done and (not exited.done() or task.exception() is None):
                    return await task
                announced = self._announced.done()
                if exited.done():
                    await self._drain_pipes()
                    step = "before it was ready" if announced else "before it announced itself"
                    raise LaunchError(f"{self._command()} ended {step}: {exited.result()}")
                if not done:
                    step = "no progress of its start" if announced else "no announce line"
                    raise LaunchError(
                        f"start timeout: {step} for {self.unit.stall:g} s; raise its `stall`, "
                        "or call report_progress in its lifespan"
                    )
        finally:
            await cancel(task, exited)

    async def _connect(self) -> None:
        announcement = await asyncio.shield(self._announced)
        self._progress.set()
        connection = Connection.open(announcement.address, token=self._token, message_bytes=-1)
        self.connection = connection
        await self.greet(connection, self._instance)
        self._progress.set()
        self._follower = asyncio.ensure_future(self.follow_log(connection, self._instance))
        await self.run_lifespans(connection, lambda _fraction, _text: self._progress.set())

    def _command(self) -> str:
        return f"command {' '.join(self.argv)!r}"

    async def ended(self) -> str:
        """Wait for the exit of the process."""
        assert self._process is not None
        return str(await self._process.exited())

    async def stop(self) -> str:
        """Shutdown, SIGTERM to the group, SIGKILL to the group; wait until nobody is left."""
        how = "never started"
        if self._process is not None:
            how = await self._end(self._process)
        await self._drain_pipes()
        if self._follower is not None:
            # The worker's last records come with the end of its stream.
            await asyncio.wait((self._follower,), timeout=PIPE_BOUND)
            await cancel(self._follower)
        for transport, _ in self._pipes:
            transport.close()
        self._pipes.clear()
        self._close_lifeline()
        if self.connection is not None:
            await self.connection.close()
        if self._announced.done() and not self._announced.cancelled():
            self._announced.exception()
        self._remove_socket()
        return how

    def _remove_socket(self) -> None:
        self._socket.unlink(missing_ok=True)
        # A worker of ours keeps a lock beside its socket.
        Path(f"{self._socket}.lock").unlink(missing_ok=True)

    async def _end(self, process: Process) -> str:
        exited = asyncio.ensure_future(process.exited())
        gone = asyncio.ensure_future(process.gone())
        try:
            # One that is dead already can't answer, and isn't asked.
            await asyncio.wait((exited,), timeout=0)
            if not exited.done() and await self._asked_to_leave():
                await asyncio.wait((exited,), timeout=self.unit.grace)
            # Whoever holds the lifeline's end would wait for it for ever.
            self._close_lifeline()
            if not gone.done():
                process.signal(signal.SIGTERM)
                await asyncio.wait((gone,), timeout=self.unit.grace)
            if not gone.done():
                process.signal(signal.SIGKILL)
                await asyncio.wait((gone,), timeout=KILL_BOUND)
            return str(exited.result()) if exited.done() else "exit code unknown"
        finally:
            await cancel(exited, gone)

    async def _asked_to_leave(self) -> bool:
        if self.handshake is None or self.connection is None:
            return False
        with suppress(RpcError):
            await CoreClient(self.connection).shutdown(
                ShutdownRequest(grace=Duration(seconds=1)), timeout=SHUTDOWN_ANSWER
            )
            return True
        return False

    async def _drain_pipes(self) -> None:
        endings = [reader.ended for _, reader in self._pipes]
        if endings:
            await asyncio.wait(endings, timeout=PIPE_BOUND)

    def _close_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def _is_broken(error: BaseException | None) -> bool:
    return isinstance(error, Unavailable) and not isinstance(error, StartError)
