"""Where checks get the workers that they look at."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypedDict, Unpack

from google.protobuf.descriptor_pool import DescriptorPool

from hsu_worker.conformance.check import Lane
from hsu_worker.conformance.described import described
from hsu_worker.conformance.finding import NotMet, Skipped
from hsu_worker.conformance.help import Help
from hsu_worker.conformance.launched import Launched
from hsu_worker.conformance.worker import Worker
from hsu_worker.errors import RpcError
from hsu_worker.master.keeping import Keeper
from hsu_worker.master.tables import UnitConfig
from hsu_worker.wire.launch import LaunchVariables

#: Seconds between two looks.
_LOOK: Final = 0.01


class Launch(TypedDict, total=False):
    """How a worker is launched; what is missing is as usual."""

    listen: str
    """Where; usually at a Unix socket of its own."""
    descriptor: bool
    """It is to announce itself at a descriptor, not on stdout."""
    lifeline: str
    """`stdin` or `none`."""
    env: Mapping[str, str]
    """More variables of its environment."""
    changes: Mapping[str, str | None]
    """Launch variables that are to be others, or (None) missing."""


class Lab:
    """Launches workers, and lends those that several checks use.

    Args:
        unit: What to launch; None: nothing, there is only `running`.

        running: A worker that runs already, and is left alone.

        help: What is known of the worker.

        keeper: Spawns and reaps.

        folder: For the sockets; short, and nobody else can enter it.

        patience: Multiplies all bounds.
    """

    def __init__(
        self,
        *,
        unit: UnitConfig | None,
        running: Worker | None = None,
        help: Help,  # noqa: A002
        keeper: Keeper,
        folder: Path,
        patience: float,
    ) -> None:
        self.unit = unit
        self.help = help
        self.patience = patience
        self.folder = folder
        self._keeper = keeper
        self._running = running
        self._stack = AsyncExitStack()
        self._shared: dict[Lane, Launched] = {}
        self._locks = {lane: asyncio.Lock() for lane in Lane}
        self._sockets = 0
        self._described: tuple[DescriptorPool | None, str] | None = None

    @property
    def careful(self) -> bool:
        """The worker serves others: it must not be changed."""
        return self._running is not None

    async def close(self) -> None:
        """End the workers that are lent."""
        await self._stack.aclose()

    @asynccontextmanager
    async def spawn(
        self, *, ended_lifeline: bool = False, **launch: Unpack[Launch]
    ) -> AsyncGenerator[Launched, None]:
        """Start a worker, and end it after the block.

        Args:
            ended_lifeline: The lifeline has ended already.

            launch: See `Launch`.

        Raises:
            LaunchError: The command can't be started.
        """
        assert self.unit is not None
        self._sockets += 1
        variables = LaunchVariables(
            instance=secrets.token_hex(16),
            unit=self.unit.name,
            listen=launch.get("listen") or f"unix:{self.folder}/{self._sockets}.sock",
            token=secrets.token_urlsafe(32),
            lifeline=launch.get("lifeline", "stdin"),
        )
        launched = Launched(
            self._keeper,
            replace(self.unit, env={**self.unit.env, **launch.get("env", {})}),
            variables,
            changes=launch.get("changes", {}),
            descriptor=launch.get("descriptor", True),
            patience=self.patience,
        )
        try:
            await launched.spawn(ended_lifeline=ended_lifeline)
            with _last_lines(launched):
                yield launched
        finally:
            await asyncio.shield(launched.close())

    @asynccontextmanager
    async def launch(
        self, *, run: bool = False, **launch: Unpack[Launch]
    ) -> AsyncGenerator[Launched, None]:
        """Start a worker, connect as soon as it says where, and claim it.

        Args:
            run: Bring it to RUNNING, too.

            launch: See `Launch`.

        Raises:
            LaunchError: It did not announce itself.

            NotMet: It did something else than it should.
        """
        async with self.spawn(**launch) as launched:
            await launched.connected()
            try:
                launched.told = await launched.handshake()
            except RpcError as error:
                raise NotMet("an answer of Handshake", str(error)) from None
            if run:
                await launched.run()
            yield launched

    @asynccontextmanager
    async def shared(self, lane: Lane) -> AsyncGenerator[Worker, None]:
        """Borrow a worker in the state of a lane; whoever does may start and stop it."""
        async with self._locks[lane]:
            if self._running is not None:
                yield self._running
                return
            worker = self._shared.get(lane)
            if worker is None or not await _settled(worker, lane):
                worker = await self._stack.enter_async_context(
                    self.launch(run=lane is Lane.RUNNING)
                )
                self._shared[lane] = worker
            with _last_lines(worker):
                yield worker

    async def until(
        self,
        holds: Callable[[], bool | Awaitable[bool]],
        within: float,
        finding: Callable[[], tuple[str, str]],
    ) -> None:
        """Look again and again until something holds, so many seconds.

        Args:
            holds: Whether it does.

            within: Multiplied by the patience.

            finding: What was expected and what is seen, if it never does.

        Raises:
            NotMet: It does not.
        """
        until = time.monotonic() + within * self.patience
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            if time.monotonic() > until:
                expected, seen = finding()
                raise NotMet(f"{expected} within {within * self.patience:g} s", seen)
            await asyncio.sleep(_LOOK)

    async def pool(self, worker: Worker) -> DescriptorPool:
        """The descriptors of the worker's interfaces.

        Raises:
            Skipped: It tells none.
        """
        if self._described is None:
            self._described = await described(worker)
        pool, reason = self._described
        if pool is None:
            raise Skipped(reason)
        return pool


@contextmanager
def _last_lines(worker: Worker) -> Generator[None, None, None]:
    """Have the worker's last lines in a finding of the block."""
    try:
        yield
    except NotMet as finding:
        finding.output = finding.output or worker.tail
        raise


async def _settled(worker: Launched, lane: Lane) -> bool:
    """Have a worker in the state of a lane again; whether that can be."""
    if not worker.alive:
        return False
    try:
        state = (await worker.state()).lower()
        if (state, lane) == (Lane.RUNNING, Lane.STOPPED):
            state = (await worker.stop()).lower()
        elif (state, lane) == (Lane.STOPPED, Lane.RUNNING):
            await worker.run()
            state = lane
    except (RpcError, NotMet):
        return False
    return state == lane
