"""The units of a master: made of a configuration, and changed into those of another one."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

from hsu_worker.interface import AnyInterface
from hsu_worker.master import policy
from hsu_worker.master.admission import Admission
from hsu_worker.master.changes import Changes, changed
from hsu_worker.master.config import Config
from hsu_worker.master.dependencies import Dependencies, bound_waits, close_in_order
from hsu_worker.master.event import Event
from hsu_worker.master.launcher import Worker, cancel
from hsu_worker.master.launchers import Launchers
from hsu_worker.master.log_file import LogFile
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.policy import places
from hsu_worker.master.replicas import Owner, Replicas
from hsu_worker.master.sharing import rules
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.unit import Unit
from hsu_worker.wire.connection import Connection, Lease

#: Seconds after which units that are still being adopted, and leftovers that are being ended, hold up no master.
ADOPT_WITHIN: Final = 5.0


class Units(Mapping[str, Owner]):
    """By name, in the order of the file.

    Args:
        tell: Takes every event of a unit.

        removed: Called with the name of a unit that is no longer in the file, when nothing is left of it.
    """

    def __init__(self, tell: Callable[[Event], None], removed: Callable[[str], None]) -> None:
        self.on_standing: Callable[[], None] = _nobody
        """Called when it may be that calls to a unit are refused now, or no longer."""
        self.closed = True
        """None is made any more: the master has not begun, or leaves."""
        self._tell = tell
        self._removed = removed
        self._units: dict[str, Owner] = {}
        self._files: dict[str, LogFile] = {}
        self._launchers: Launchers
        self._admission: Admission
        self._ending: set[asyncio.Task[None]] = set()

    def __getitem__(self, name: str) -> Owner:
        return self._units[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)

    def open(self, config: Config, launchers: Launchers) -> None:
        """Make the units; nothing is launched yet."""
        self._launchers = launchers
        launchers.leftovers.tell = self._left_over
        self._admission = Admission(self)
        self.closed = False
        self._units = {name: self._made(unit) for name, unit in config.units.items()}
        bound_waits(self._units)
        self._budget(config)

    async def adopt(self) -> None:
        """Start the units whose workers have outlived an earlier master, so that these are adopted."""
        configs = {name: unit.config for name, unit in self._units.items()}
        starts = [
            # One that can't be adopted has shown it, when the first calls come.
            asyncio.ensure_future(self[name].start("adopt"))
            for name in await self._launchers.sort_survivors(configs)
        ]
        ends = asyncio.ensure_future(self._launchers.leftovers.all_cleared())
        try:
            await asyncio.wait((*starts, ends), timeout=ADOPT_WITHIN)
        except BaseException:
            await self.close()
            raise
        finally:
            # Whoever waits for them may go: starts and ends go on.
            await cancel(*starts, ends)

    def begin(self, units: Mapping[str, UnitConfig]) -> None:
        """Launch what is to be there before somebody calls."""
        self._launchers.prepare(units.values())
        for name, unit in units.items():
            # What was adopted could not wait for what it depends on. That may call others from its
            # first moment, so it is started here, where the master listens.
            if places.comes(self._units[name].state):
                for other in unit.depends_on:
                    self._units[other].tell(policy.StartNeeded(f"unit {name!r} depends on it"))
            if unit.preload:
                self._units[name].tell(policy.StartWanted("preload"))

    def change(self, changes: Changes, old: Config, new: Config) -> asyncio.Task[None]:
        """Become the units of another configuration; the task ends with those that were removed."""
        leaving = {name: self._units.pop(name) for name in changes.removed}
        for name in changes.added:
            self._units[name] = self._made(new.units[name])
        for name in (*changes.replaced, *changes.adjusted):
            keys = changed(old.units[name], new.units[name])
            self._log_elsewhere(new.units[name], keys)
            self._units[name] = self._replicated(self._units[name], new.units[name])
            self._units[name].reconfigure(new.units[name], keys, relaunch=name in changes.replaced)
        self._units = {name: self._units[name] for name in new.units}
        bound_waits(self._units)
        self._budget(new)
        for name in (*changes.removed, *changes.replaced):
            self._launchers.forget(name)
        self.begin({name: new.units[name] for name in changes.added})
        self._launchers.prepare(
            self._units[name].launch for name in (*changes.replaced, *changes.adjusted)
        )
        self._keep_templates()
        ended = [(unit, self._files.pop(name, None)) for name, unit in leaving.items()]
        return self._until_done(self._end(ended))

    async def swap(self, name: str, config: UnitConfig) -> int:
        """As `Unit.swap`; what the old one was forked from is not kept."""
        try:
            return await self[name].swap(config)
        finally:
            self._keep_templates()

    async def ended(self) -> None:
        """Wait until nothing is left of those that were removed; who waits may go."""
        if self._ending:
            await asyncio.wait(set(self._ending))

    async def close(self) -> None:
        """Stop all of them for good."""
        self.closed = True
        self._launchers.leave()
        await asyncio.gather(close_in_order(self._units.values()), self.ended())
        self._admission.close()

    async def close_logs(self) -> None:
        """End their logs, and write what is to be in files."""
        for unit in self._units.values():
            unit.log.close()
        files, self._files = self._files, {}
        await asyncio.gather(*(file.close() for file in files.values()))

    def _keep_templates(self) -> None:
        self._launchers.keep_templates(unit.launch for unit in self._units.values())

    async def _end(self, leaving: Collection[tuple[Owner, LogFile | None]]) -> None:
        await close_in_order([unit for unit, _ in leaving], removed=True)
        for unit, file in leaving:
            unit.log.close()
            if file is not None:
                await file.close()
            self._removed(unit.config.name)

    def _made(self, config: UnitConfig) -> Owner:
        log = UnitLog()
        self._write(config, log)
        return self._replicated(self._owner(config, log), config)

    def _owner(self, config: UnitConfig, log: UnitLog) -> Unit:
        unit = Unit(config, self._worker, self._tell, log)
        unit.on_standing = self._standing
        return unit

    def _replicated(self, owner: Owner, config: UnitConfig) -> Owner:
        """The same, or the first of several; one that was several once stays so."""
        if config.replicas == 1 or isinstance(owner, Replicas):
            return owner
        replicas = Replicas(owner, self._owner)
        replicas.on_standing = self._standing
        return replicas

    def _worker(self, config: UnitConfig, generation: int, log: UnitLog) -> Worker:
        worker = self._launchers.make(config, generation, log)
        dependencies = Dependencies(worker, self.__getitem__)
        worker.before = partial(self._before, worker, dependencies)
        worker.after, worker.stands = dependencies.let_go, dependencies.stand
        if config.kind in ("app", "command"):
            self._admission.take(worker)
        return worker

    async def _before(self, worker: Worker, dependencies: Dependencies) -> None:
        if not worker.adopting:
            await self._launchers.leftovers.cleared(worker.unit)
        await dependencies.ready()

    def _budget(self, config: Config) -> None:
        self._admission.configure(rules(config.units, config.groups, config.master))
        self._launchers.leftovers.share_memory = config.master.memory is not None

    def _until_done(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Whoever asked for it may go, and the master leaves after it."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    def _log_elsewhere(self, config: UnitConfig, keys: Mapping[str, object]) -> None:
        """Write the log as the keys that differ say."""
        if "log_file" in keys:
            ended = self._files.pop(config.name, None)
            if ended is not None:
                self._until_done(ended.close())
            self._write(config, self._units[config.name].log)
        elif config.name in self._files:
            self._files[config.name].bound(size=config.log_size, keep=config.log_keep)

    def _write(self, config: UnitConfig, log: UnitLog) -> None:
        log.sink, log.stored = None, lambda: log.next
        if config.log_file is not None:
            file = LogFile(
                config.log_file, size=config.log_size, keep=config.log_keep, first=log.next
            )
            self._files[config.name] = file
            log.sink, log.stored = file.write, lambda: file.next

    def _left_over(self, name: str, why: str) -> None:
        if name in self._units:
            self._units[name].history.left_over(why)

    def _standing(self) -> None:
        self.on_standing()


def routed(find: Callable[[], Owner], interface: AnyInterface) -> Lease:
    """Lends, for each call, the connection of the unit that is found then: a reload may change it.

    Raises:
        Unimplemented: None is found, now or later.
    """
    unit = find()
    what = f"a call of {interface.name}"
    lending = unit.lease(interface, what)

    def lease(deadline: float | None, /) -> AbstractAsyncContextManager[Connection]:
        nonlocal unit, lending
        found = find()
        if found is not unit:
            unit, lending = found, found.lease(interface, what)
        return lending(deadline)

    return lease


def _nobody() -> None:
    """Nobody wants to know."""
