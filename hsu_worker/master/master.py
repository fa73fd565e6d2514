"""The main process's side: clients whose units start when they are called."""

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from hsu_worker.errors import ConfigError
from hsu_worker.gen.hsu_core import Registry
from hsu_worker.interface import Interface
from hsu_worker.master.attached import Attached, Whereabouts
from hsu_worker.master.config import Config
from hsu_worker.master.folder import private_folder
from hsu_worker.master.keeping import Keeper
from hsu_worker.master.launcher import Worker
from hsu_worker.master.logs import LogLine, UnitLog
from hsu_worker.master.policy import Phase
from hsu_worker.master.registry import Registrations, RegistryService
from hsu_worker.master.router import Router
from hsu_worker.master.secret_file import read_token
from hsu_worker.master.spawned import Spawned
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.unit import Event, Unit
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.server import listening
from hsu_worker.wire.address import Address
from hsu_worker.wire.limits import Limits

log = logging.getLogger(__name__)

ClientT = TypeVar("ClientT")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """How a unit stands."""

    unit: str
    phase: Phase
    generation: int
    """How often it was started."""
    leases: int
    """Calls that run."""
    waiters: int
    """Calls that wait for it to start."""
    detail: str
    """What there is to say about its worker, such as its pid."""


class Master:
    """Starts units when they are called, lends them, and stops them when they are idle.

        async with Master.from_file("hsu.toml") as master:
            summarizer = master.client(InterfaceA)                          # no process yet
            reply = await summarizer.summarize(SummarizeRequest(text=text), timeout=5)

    Leaving the block lets running calls end, for as long as each unit's `drain` says, and stops
    every process that it started. Workers that it didn't start live on.

    Args:
        config: The units.

        on_event: Called with each `Event`, on the loop; it must not block.
    """

    def __init__(self, config: Config, *, on_event: Callable[[Event], None] | None = None) -> None:
        self.config = config
        self.id = secrets.token_hex(8)
        self._on_event = on_event
        self._router = Router(config)
        self._units: dict[str, Unit] = {}
        self._stack = AsyncExitStack()
        self._registrations: Registrations | None = None
        self._keeper: Keeper | None = None
        self._folder: Path | None = None
        #: Where workers register; None when no unit has `register = true`.
        self.address: Address | None = None
        #: The file that holds the token for it.
        self.token_file: Path | None = None

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, on_event: Callable[[Event], None] | None = None
    ) -> "Master":
        """Read an `hsu.toml`.

        Raises:
            ConfigError: It can't be used; the message lists every mistake.
        """
        return cls(Config.from_file(path), on_event=on_event)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(private_folder(self.config.master.runtime_dir))
            self._folder = folder
            self._keeper = await stack.enter_async_context(Keeper())
            self._registrations = Registrations()
            if any(unit.register for unit in self.config.units.values()):
                await self._listen(stack, folder)
            self._units = {
                name: Unit(unit, partial(self._make, unit), self._tell)
                for name, unit in self.config.units.items()
            }
            stack.push_async_callback(self._close_units)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def client(self, interface: Interface[Any, ClientT, Any], *, unit: str = "") -> ClientT:
        """A typed client; its calls start the unit. Nothing is started before the first call.

        Args:
            interface: What to call.

            unit: Which unit; empty: the one that `[routes]` names, or the only one.

        Raises:
            Unimplemented: No unit implements the interface.
        """
        name = self._router.unit_for(interface.name, unit or None)
        return interface.client(self._unit(name).lease(interface))

    async def start(self, unit: str) -> None:
        """Start a unit before somebody calls it.

        Raises:
            StartError: It won't start; the message says why, with its last output.
        """
        await self._unit(unit).start()

    async def stop(self, unit: str) -> None:
        """Let a unit's calls end, then stop it. The next call starts it again."""
        await self._unit(unit).stop()

    def status(self) -> Mapping[str, UnitStatus]:
        """How each unit stands, by name."""
        return {
            name: UnitStatus(
                unit=name,
                phase=unit.state.phase,
                generation=unit.state.generation,
                leases=unit.state.leases,
                waiters=len(unit.state.waiters),
                detail=unit.worker.detail if unit.worker is not None else "",
            )
            for name, unit in self._units.items()
        }

    def log(self, unit: str) -> list[LogLine]:
        """The last output and log records of a unit, oldest first, over all its generations."""
        return self._unit(unit).log.lines()

    def _unit(self, name: str) -> Unit:
        if name not in self._units:
            if name in self.config.units:
                raise RuntimeError("the master is not running: use it inside `async with`")
            known = ", ".join(self.config.units) or "none"
            raise ConfigError(f"there is no unit {name!r}; configured: {known}")
        return self._units[name]

    def _make(self, unit: UnitConfig, generation: int, unit_log: UnitLog) -> Worker:
        assert self._keeper is not None
        assert self._folder is not None
        assert self._registrations is not None
        if unit.register:
            return Attached(
                unit,
                generation,
                unit_log,
                master_id=self.id,
                find=partial(self._registrations.find, unit.name),
            )
        if unit.address is not None:
            return Attached(
                unit, generation, unit_log, master_id=self.id, find=partial(_known, unit)
            )
        return Spawned(
            unit,
            generation,
            unit_log,
            master_id=self.id,
            keeper=self._keeper,
            folder=self._folder,
        )

    async def _listen(self, stack: AsyncExitStack, folder: Path) -> None:
        assert self._registrations is not None
        token = secrets.token_urlsafe(32)
        token_file = folder / "token"
        descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
        dispatcher = Dispatcher(token=token, limits=Limits())
        dispatcher.add_own(
            Registry,
            RegistryService(self.config.units, self._registrations, master_id=self.id),
        )
        address = Address.parse(f"unix:{folder / 'master.sock'}")
        self.address = await stack.enter_async_context(listening(dispatcher, address))
        self.token_file = token_file

    async def _close_units(self) -> None:
        await asyncio.gather(*(unit.close() for unit in self._units.values()))

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                # What a watcher does wrong must not stop what it watches.
                log.exception("on_event failed for %s", event)


async def _known(unit: UnitConfig) -> Whereabouts:
    assert unit.address is not None
    token = read_token(unit.token_file) if unit.token_file is not None else ""
    return Whereabouts(address=Address.parse(unit.address), token=token)
