"""A worker that the kit has launched, as a master does: docs/launch-contract.md from the other side."""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from hsu_worker.conformance import bounds
from hsu_worker.conformance.finding import NotMet, expect
from hsu_worker.conformance.worker import Worker
from hsu_worker.errors import LaunchError
from hsu_worker.master.environment import child_environment
from hsu_worker.master.keeping import Exit, Keeper, Process
from hsu_worker.master.output import OutputPipe, read_pipe
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.announce import CONTRACT_VERSION, Announcement
from hsu_worker.wire.launch import LaunchVariables

#: A variable that tells the processes of a launch, whatever became of their parents.
MARK: Final = "HSU_CHECK_LAUNCH"

#: Lines that are kept of its output.
_KEPT: Final = 2_000
#: Lines that are shown of it.
_SHOWN: Final = 10


class AnnouncePipe(asyncio.Protocol):
    """Reads all that comes through the announce descriptor.

    Args:
        take: Gets the first line, as soon as it is whole or the pipe has ended.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.data = b""
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        whole = b"\n" in self.data
        self.data += data
        if b"\n" in self.data and not whole:
            self._take(self.data[: self.data.index(b"\n") + 1])

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody holds the other end any more."""
        if self.data and b"\n" not in self.data:
            self._take(self.data)
        if not self.ended.done():
            self.ended.set_result(None)


class Launched(Worker):
    """One launch.

    Args:
        keeper: Spawns and reaps.

        unit: What to launch.

        variables: The launch variables.

        changes: Launch variables that are to be others, or (None) missing.

        descriptor: It is to announce itself at a descriptor, not on stdout.
    """

    def __init__(
        self,
        keeper: Keeper,
        unit: UnitConfig,
        variables: LaunchVariables,
        *,
        changes: Mapping[str, str | None],
        descriptor: bool,
        patience: float,
    ) -> None:
        super().__init__(patience)
        self.variables = variables
        self.process: Process
        self.exit: asyncio.Future[Exit]
        """How the process that was launched has ended, once it has."""
        self.lines: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        """Its last output: where each line came from, and the line."""
        self.written = 0
        """Characters of its output so far."""
        self.inodes: dict[str, int] = {}
        """Of the pipes, by `stdin`, `stdout` and `stderr`."""
        self._keeper = keeper
        self._unit = unit
        self._changes = changes
        self._descriptor = descriptor
        self._lifeline: int | None = None
        self._transports: list[asyncio.ReadTransport] = []
        self._outputs: list[OutputPipe] = []
        self._first: asyncio.Future[tuple[str, bytes]]
        self.announce: AnnouncePipe

    @property
    def tail(self) -> list[str]:
        """The last lines that it wrote."""
        return [f"{source}: {line[:500]}" for source, line in list(self.lines)[-_SHOWN:]]

    async def spawn(self, *, ended_lifeline: bool = False) -> None:
        """Start the process.

        Raises:
            LaunchError: It can't be started.
        """
        self._first = asyncio.get_running_loop().create_future()
        self.announce = AnnouncePipe(lambda line: self._take_announcement("descriptor", line))
        child_ends: list[int] = []
        try:
            stdin, self._lifeline = os.pipe()
            child_ends.append(stdin)
            self._outputs = [OutputPipe(self._taker(name)) for name in ("stdout", "stderr")]
            for reader in (*self._outputs, *((self.announce,) if self._descriptor else ())):
                transport, theirs = await read_pipe(reader)
                self._transports.append(transport)
                child_ends.append(theirs)
            for name, end in zip(("stdin", "stdout", "stderr"), child_ends, strict=False):
                self.inodes[name] = os.fstat(end).st_ino
            if ended_lifeline:
                self.end_lifeline()
            self.process = await self._keeper.spawn(
                self._unit.argv,
                env=self._environment(),
                cwd=str(self._unit.cwd),
                stdin=child_ends[0],
                stdout=child_ends[1],
                stderr=child_ends[2],
                announce=child_ends[3] if self._descriptor else None,
            )
        finally:
            for end in child_ends:
                os.close(end)
        self.exit = asyncio.ensure_future(self.process.exited())

    def _environment(self) -> dict[str, str]:
        environment = child_environment(self._unit, os.environ)
        environment |= self.variables.environment()
        environment[MARK] = self.variables.instance
        for name, value in self._changes.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return environment

    async def announced(self) -> bool:
        """Wait until it announces itself, or has ended; whether it has said something."""
        ends = (self._first, self.exit)
        within = bounds.ANNOUNCE * self.patience
        await asyncio.wait(ends, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if self.exit.done():
            await self.output_ended()
        return self._first.done()

    async def connected(self) -> None:
        """Wait for the announcement, and connect at once.

        Raises:
            LaunchError: It ended, or said nothing.

            NotMet: It announced something else.
        """
        if not await self.announced():
            within = bounds.ANNOUNCE * self.patience
            ended = f"it ended: {self.exit.result()}" if self.exit.done() else ""
            raise self._not_launched(ended or f"no announce line for {within:g} s")
        source, line = self._first.result()
        wanted = "descriptor" if self._descriptor else "stdout"
        expected = f"'HSU {CONTRACT_VERSION} {self.variables.instance} {self.variables.listen}'"
        if source != wanted:
            raise NotMet(f"the announce line {expected} at HSU_ANNOUNCE_FD", f"it came on {source}")
        try:
            announcement = Announcement.parse(
                line, instance=self.variables.instance, asked=self.variables.address
            )
        except LaunchError as error:
            raise NotMet(f"the announce line {expected}", f"{line!r}: {error}") from None
        self.open(announcement.address, self.variables.token)

    async def ended_unannounced(self, after: str) -> Exit:
        """Wait for its end before it has announced anything.

        Raises:
            NotMet: It announces itself, or lives on.
        """
        if await self.announced():
            _, line = self._first.result()
            raise NotMet(f"{after}: no announcement", repr(line))
        return await self.exited(0, after)

    def end_lifeline(self) -> None:
        """Be gone, as far as the lifeline tells."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def write_lifeline(self, data: bytes) -> None:
        """Write to where nothing is ever written."""
        assert self._lifeline is not None
        with suppress(BlockingIOError):
            os.set_blocking(self._lifeline, False)
            os.write(self._lifeline, data)

    async def lose_everything(self) -> None:
        """End all that holds this process and the worker together, as a killed master does."""
        for transport in self._transports:
            transport.close()
        await self.connection.close()
        await asyncio.wait([pipe.ended for pipe in self._outputs])
        # Last, so that nobody reads what it writes when it notices.
        self.end_lifeline()

    async def exited(self, within: float, after: str) -> Exit:
        """Wait for the end of the process that was launched, so many seconds.

        Raises:
            NotMet: It lives on.
        """
        within *= self.patience
        await asyncio.wait((self.exit,), timeout=within)
        if not self.exit.done():
            raise NotMet(f"{after}: the exit within {within:g} s", "the process lives on")
        return self.exit.result()

    async def leaves(self, within: float, after: str) -> None:
        """Demand that it exits in time with code 0."""
        how = await self.exited(within, after)
        expect(f"{after}: how it ends", "exit code 0", str(how))

    @property
    def alive(self) -> bool:
        """The process that was launched has not ended, as far as is known."""
        return not self.exit.done()

    async def close(self) -> None:
        """End whatever is left of it."""
        if hasattr(self, "connection"):
            await self.connection.close()
        if hasattr(self, "process") and not self.process.over:
            self.process.signal(signal.SIGKILL)
            with suppress(TimeoutError):
                async with asyncio.timeout(bounds.SOON):
                    await self.process.gone()
        if hasattr(self, "exit"):
            self.exit.cancel()
        for transport in self._transports:
            transport.close()
        self.end_lifeline()
        if self.variables.address.is_unix:
            with suppress(FileNotFoundError):
                os.unlink(self.variables.address.path)

    def _taker(self, source: str) -> Callable[[str], None]:
        def take(line: str) -> None:
            if (
                source == "stdout"
                and line.startswith("HSU ")
                and self.variables.instance in line
                and not self._first.done()
            ):
                self._take_announcement(source, f"{line}\n".encode())
            else:
                self.lines.append((source, line))
            self.written += len(line) + 1

        return take

    def _take_announcement(self, source: str, line: bytes) -> None:
        if not self._first.done():
            self._first.set_result((source, line))

    async def output_ended(self) -> None:
        """Have all that it wrote, unless somebody else holds its pipes."""
        await asyncio.wait([pipe.ended for pipe in self._outputs], timeout=bounds.SETTLE)

    def _not_launched(self, reason: str) -> LaunchError:
        output = "".join(f"\n    {line}" for line in self.tail)
        command = " ".join(self._unit.argv)
        return LaunchError(
            f"{command!r} did not announce itself: {reason}"
            + (f"; its last output:{output}" if output else "")
        )
