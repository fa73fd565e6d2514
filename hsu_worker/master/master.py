"""The main process's side: clients whose units start when they are called."""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from hsu_worker.errors import ConfigError, UnknownUnit
from hsu_worker.interface import Interface, check_interface
from hsu_worker.master.changes import Changes, changes
from hsu_worker.master.config import Config
from hsu_worker.master.control import ControlService
from hsu_worker.master.endpoint import Endpoint, write_token
from hsu_worker.master.event import Event
from hsu_worker.master.folder import SOCKET, check_paths, private_folder
from hsu_worker.master.keeping import Keeper
from hsu_worker.master.launcher import cancel
from hsu_worker.master.launchers import Launchers
from hsu_worker.master.logs import LogBatch, LogLine
from hsu_worker.master.nearest import no_unit
from hsu_worker.master.registry import Registrations, RegistryService
from hsu_worker.master.remote import RemoteMaster
from hsu_worker.master.replicas import Owner
from hsu_worker.master.router import Router
from hsu_worker.master.specs import replacement
from hsu_worker.master.survivors import survivors_of
from hsu_worker.master.tokens import Tokens
from hsu_worker.master.unit_status import UnitStatus, status_of
from hsu_worker.master.units import Units, routed
from hsu_worker.master.watchers import Watchers
from hsu_worker.wire.address import Address
from hsu_worker.wire.interceptors import ClientInterceptor, check_interceptors, intercepted

log = logging.getLogger(__name__)

ClientT = TypeVar("ClientT")

_NOT_RUNNING = "the master is not running: use it inside `async with`"


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

        listen: Further addresses to listen at; the first is in the runtime directory.

        interceptors: Client interceptors of grpc.aio, for the calls of the clients made here.

        insecure_remote: Listen where others in the network can read and make calls.

    Raises:
        AddressError: `listen` names such an address, and `insecure_remote` doesn't allow it.
    """

    def __init__(
        self,
        config: Config,
        *,
        on_event: Callable[[Event], None] | None = None,
        listen: Sequence[Address] = (),
        interceptors: Sequence[ClientInterceptor] = (),
        insecure_remote: bool = False,
    ) -> None:
        check_interceptors(interceptors)
        if not insecure_remote:
            for address in listen:
                address.check_local("pass insecure_remote=True")
        self.config = config
        self._interceptors = interceptors
        self._listen_at = listen
        self.id = secrets.token_hex(8)
        self._router = Router(config)
        self._watchers = Watchers(on_event)
        self._units = Units(self._tell, self._watchers.forget)
        self._reloading = asyncio.Lock()
        self._launchers: Launchers | None = None
        self._stack = AsyncExitStack()
        self._entered = False
        self._tokens = Tokens()
        self._endpoint: Endpoint | None = None
        #: Where it listens while it runs.
        self.address: Address | None = None
        #: All addresses, `address` first.
        self.addresses: tuple[Address, ...] = ()
        #: The file that holds the token for it.
        self.token_file: Path | None = None

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        on_event: Callable[[Event], None] | None = None,
        listen: Sequence[Address] = (),
        interceptors: Sequence[ClientInterceptor] = (),
        insecure_remote: bool = False,
    ) -> "Master":
        """Read an `hsu.toml`.

        Raises:
            ConfigError: It can't be used; the message lists every mistake.

            AddressError: As `Master`.
        """
        config = Config.from_file(path)
        return cls(
            config,
            on_event=on_event,
            listen=listen,
            interceptors=interceptors,
            insecure_remote=insecure_remote,
        )

    @staticmethod
    def connect(
        where: str | None = None,
        *,
        token_file: Path | None = None,
        interceptors: Sequence[ClientInterceptor] = (),
    ) -> RemoteMaster:
        """A master that runs in another process.

            async with Master.connect() as master:
                summarizer = master.client(InterfaceA)

        Args:
            where: Its address or its folder. None: in a worker the master that launched it, else
                what `HSU_MASTER` says, else the only one that this user runs.

            token_file: The file with the token for an address; see `find_master`.

            interceptors: Client interceptors of grpc.aio, for the calls of the clients made there.
        """
        return RemoteMaster(where, token_file=token_file, interceptors=interceptors)

    async def __aenter__(self) -> Self:
        self.check_left()
        async with AsyncExitStack() as stack:
            self._entered = True
            stack.callback(setattr, self, "_entered", False)
            folder = stack.enter_context(
                private_folder(self.config.master.runtime_dir, config=self.config.file)
            )
            check_paths(folder, self.config.units)
            launchers = self._launchers = Launchers(
                master_id=self.id,
                keeper=await stack.enter_async_context(Keeper()),
                folder=folder,
                registrations=Registrations(),
                tokens=self._tokens,
                gateway=Address(path=str(folder / SOCKET)),
                survivors=stack.enter_context(survivors_of(self.config, folder.parent)),
            )
            stack.push_async_callback(launchers.close)
            self._units.open(self.config, launchers)
            await self._units.adopt()
            stack.push_async_callback(self._units.close_logs)
            self.token_file = write_token(folder, self._tokens.own)
            endpoint = self._endpoint = Endpoint(
                self._router,
                self._units,
                self._tokens,
                message_bytes=self.config.master.message_bytes,
            )
            registry = RegistryService(self._units, launchers.registrations, master_id=self.id)
            self.addresses = await stack.enter_async_context(
                endpoint.listening(
                    ControlService(self), registry, (*launchers.addresses, *self._listen_at)
                )
            )
            self.address = self.addresses[0]
            stack.push_async_callback(self._units.close)
            self._stack = stack.pop_all()
        self._units.begin(self.config.units)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def check_left(self) -> None:
        """Refuse to be entered a second time before it is left.

        Raises:
            RuntimeError: The block of an `async with` is still running.
        """
        if self._entered:
            raise RuntimeError(
                "the master runs already: enter it once, and share it; its clients may be used by "
                "many tasks at the same time"
            )

    def client(self, interface: Interface[Any, ClientT, Any], *, unit: str = "") -> ClientT:
        """A typed client; its calls start the unit. Nothing is started before the first call.

        Args:
            interface: What to call.

            unit: Which unit; empty: the one that `[routes]` names, or the only one.

        Raises:
            Unimplemented: No unit implements the interface.
        """
        check_interface(interface)

        def find() -> Owner:
            return self._unit(self._router.unit_for(interface.name, unit or None))

        return interface.client(intercepted(routed(find, interface), self._interceptors))

    async def start(
        self, unit: str, *, on_progress: Callable[[float, str], None] | None = None
    ) -> int:
        """Start a unit before somebody calls it; whatever stood against it is forgotten.

        Args:
            unit: Its name.

            on_progress: Called with what its lifespans report: a fraction and a text.

        Returns:
            The generation.

        Raises:
            StartError: It won't start; the message says why, with its last output.
        """
        known = self._unit(unit)
        if on_progress is None:
            return await known.start()
        reporting = asyncio.create_task(self._report(unit, on_progress))
        try:
            return await known.start()
        finally:
            await cancel(reporting)

    async def stop(self, unit: str, *, hold: bool = False) -> None:
        """Let a unit's calls end, then stop it.

        Args:
            unit: Its name.

            hold: Refuse calls until it is started; without it the next call starts it again.
        """
        known = self._unit(unit)
        self._renew(unit)
        await known.stop(hold=hold)

    async def restart(self, unit: str) -> int:
        """Stop a unit and start it again; calls that come meanwhile wait.

        Returns:
            The new generation.

        Raises:
            StartError: It won't start; the message says why.
        """
        known = self._unit(unit)
        self._renew(unit)
        return await known.restart()

    async def swap(
        self, unit: str, *, app: str | None = None, command: Sequence[str] | None = None
    ) -> int:
        """Put another implementation in the place of the one that runs, and lose no call.

        It is started beside the old one, and has to offer all that the old one does. Then new
        calls go to it, and the old one is stopped when its calls have ended.

        Args:
            unit: Its name.

            app: A Python worker, such as `"module:App"`.

            command: A program and its arguments. Without either: the same again.

        Returns:
            The new generation, once nothing is left of the old one.

        Raises:
            FailedPrecondition: The new one was refused, and the old one serves on; the message
                says why.
            ConfigError: What is given can't be launched.
        """
        known = self._unit(unit)
        other = replacement(known.config, app, command, self.config.folder)
        self._renew(unit)
        return await self._units.swap(unit, other)

    async def reload(self) -> Changes:
        """Read the file of the configuration again, and bring the units in line with it.

        What has not changed goes on undisturbed, and calls go at once where the new file says.

        Returns:
            What has changed, once nothing is left of units that were removed.

        Raises:
            ConfigError: Nothing has changed; the message lists every mistake in the file.
        """
        if self.config.file is None:
            raise ConfigError("this master's configuration is no file: it can't be read again")
        async with self._reloading:
            await self._units.ended()
            if self._units.closed or self._endpoint is None or self._launchers is None:
                raise RuntimeError(_NOT_RUNNING)
            old, new = self.config, Config.from_file(self.config.file)
            differ = changes(old, new)
            self._launchers.check(new.units)
            self.config = new
            self._router.follow(new)
            ending = self._units.change(differ, old, new)
            self._endpoint.reloaded()
            await asyncio.shield(ending)
        return differ

    def status(self) -> Mapping[str, UnitStatus]:
        """How each unit stands, by name."""
        now = asyncio.get_running_loop().time() if self._units else 0.0
        return {name: status_of(unit, now) for name, unit in self._units.items()}

    def why(self, unit: str) -> list[Event]:
        """The last starts, stops, crashes and refusals of a unit, oldest first, with their causes."""
        return list(self._unit(unit).history.events)

    async def watch(self, units: Collection[str] = ()) -> AsyncGenerator[Event, None]:
        """What happens to units from now on, until none of them is there; to all when none is named."""
        for name in units:
            self._unit(name)
        async with aclosing(self._watchers.watch(units)) as events:
            async for event in events:
                yield event

    def log(self, unit: str) -> list[LogLine]:
        """The last output and log records of a unit, oldest first, over all its generations."""
        return self._unit(unit).log.lines()

    def follow_log(
        self, unit: str, *, after: int = 0, tail: int = 0, follow: bool = True
    ) -> AsyncGenerator[LogBatch, None]:
        """A unit's log from a line on, then what comes.

        Args:
            unit: Its name.

            after: The sequence number of the last line that is known; 0: none is.

            tail: Begin this many lines before the end instead; 0: with the oldest that is kept.

            follow: Go on with what comes, until the master leaves.
        """
        return self._unit(unit).log.follow(after, tail=tail, follow=follow)

    def _unit(self, name: str) -> Owner:
        if name not in self._units:
            if name in self.config.units:
                raise RuntimeError(_NOT_RUNNING)
            raise UnknownUnit(no_unit(name, self.config.units))
        return self._units[name]

    async def _report(self, unit: str, on_progress: Callable[[float, str], None]) -> None:
        async for event in self.watch((unit,)):
            if event.kind == "progress":
                try:
                    on_progress(event.fraction, event.detail)
                except Exception:
                    log.exception("on_progress failed for %s", event)

    def _renew(self, unit: str) -> None:
        """What stands by for a unit was launched before somebody wanted another worker."""
        if self._launchers is not None:
            self._launchers.drain(unit)

    def _tell(self, event: Event) -> None:
        if self._endpoint is not None:
            self._endpoint.take(event)
        if self._launchers is not None and event.kind in ("ready", "swapped"):
            unit = self._units.get(event.unit)
            if unit is not None:
                self._launchers.refill(unit.launch)
        self._watchers.tell(event)
