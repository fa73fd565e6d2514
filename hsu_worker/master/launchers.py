"""Which launcher makes the worker of a unit."""

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hsu_worker.errors import ConfigError, HsuError
from hsu_worker.master.attached import Attached, Whereabouts
from hsu_worker.master.environment import child_environment
from hsu_worker.master.folder import check_paths
from hsu_worker.master.keeping import Keeper
from hsu_worker.master.launcher import Worker
from hsu_worker.master.leftovers import Leftovers
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.means import Means
from hsu_worker.master.registry import Registrations
from hsu_worker.master.slots import Slots
from hsu_worker.master.spawned import Spawned
from hsu_worker.master.standbys import Standbys
from hsu_worker.master.surviving import Surviving, launch_digest
from hsu_worker.master.survivors import Record, Survivors
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.template import template_of
from hsu_worker.master.tokens import Tokens
from hsu_worker.wire.address import Address
from hsu_worker.wire.secret_file import read_token

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launchers:
    """What workers are made with."""

    master_id: str
    keeper: Keeper
    folder: Path
    """Of mode 0700, for sockets."""
    registrations: Registrations
    tokens: Tokens
    gateway: Address
    """The master's own address."""
    survivors: Survivors | None = None
    """Of this master and those before it; None: no worker outlives it."""
    slots: Slots = field(default_factory=Slots, repr=False)
    leftovers: Leftovers = field(default_factory=Leftovers, repr=False)
    _unforkable: dict[str, str] = field(default_factory=dict, repr=False)
    """Why units were spawned that should have been forked."""
    _standbys: dict[str, Standbys] = field(default_factory=dict, repr=False)
    _adoptable: dict[str, Surviving] = field(default_factory=dict, repr=False)
    """What the next start of a unit adopts."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the master listens for its user, and for its workers."""
        return (self.gateway, *([self.survivors.gateway] if self.survivors else ()))

    def check(self, units: Mapping[str, UnitConfig]) -> None:
        """Refuse, before anything is launched, what can't be.

        Raises:
            ConfigError: A path would be too long, or a unit would outlive a master that doesn't know how.
        """
        check_paths(self.folder, units)
        for name, unit in units.items():
            if unit.lifetime == "survive" and self.survivors is None:
                raise ConfigError(
                    f'unit {name!r}: lifetime = "survive" is the first one of this master, which has '
                    "made no folder for it; start the master again"
                )

    async def sort_survivors(self, units: Mapping[str, UnitConfig]) -> list[str]:
        """Begin to end what an earlier master left, and nobody wants; returns the units that have one to adopt."""
        rivals: dict[str, list[Surviving]] = {}
        for record in self.survivors.read() if self.survivors else ():
            unit = units.get(record.unit)
            why = _unwanted(record, unit) if unit else "there is no such unit"
            if unit and not why:
                rivals.setdefault(unit.name, []).append(self._surviving(unit, record))
                continue
            if not record.pid:
                pid, start = record.found()
                record = replace(record, pid=pid, start=start)
            unit = unit or UnitConfig(name=record.unit, command=("-",), implements=())
            unit = replace(unit, groups=record.groups)
            self.leftovers.end(self._surviving(unit, record), why)
        await asyncio.gather(*(self._choose(name, workers) for name, workers in rivals.items()))
        return [*self._adoptable]

    async def _choose(self, unit: str, workers: Sequence[Surviving]) -> None:
        """Adopt the oldest one that answers; whether the last one does, its adoption shows."""
        for number, worker in enumerate(workers, 1):
            if number == len(workers) or await worker.meet():
                self._adoptable[unit] = worker
                why = "a swap was under way, and the older one is adopted"
                for each in workers[number:]:
                    self.leftovers.end(each, why)
                return
            why = "a swap was under way, and it does not answer"
            self.leftovers.end(worker, why, ask=False)

    def leave(self) -> None:
        """The master leaves: what outlives it is let go from now on, not ended."""
        if self.survivors is not None:
            self.survivors.leaving = True

    def prepare(self, units: Iterable[UnitConfig]) -> None:
        """Have ready what workers of these units are forked from, and what is to stand by."""
        for unit in units:
            with suppress(HsuError):
                if (template := _template(unit)) is not None:
                    self.keeper.warm(template)
            if unit.prewarm or unit.name in self._standbys:
                self._standbys.setdefault(unit.name, Standbys(self._launched))
                self._standbys[unit.name].refill(unit, after=0.0)

    def keep_templates(self, units: Iterable[UnitConfig]) -> None:
        """End the templates that none of these units is forked from: each holds what it has imported."""
        wanted: list[Mapping[str, object]] = []
        for unit in units:
            with suppress(HsuError):
                if (template := _template(unit)) is not None and template not in wanted:
                    wanted.append(template)
        self.keeper.keep_templates(wanted)

    def refill(self, unit: UnitConfig) -> None:
        """A worker of a unit has started: let others stand by."""
        if unit.name in self._standbys:
            self._standbys[unit.name].refill(unit)

    def forget(self, unit: str) -> None:
        """What was launched for a unit is launched otherwise from now on, or not at all."""
        self.drain(unit)
        self._unforkable.pop(unit, None)
        self.registrations.remove(unit)

    def drain(self, unit: str) -> None:
        """End what stands by for a unit, until the unit has started."""
        if unit in self._standbys:
            self._standbys[unit].drain()

    async def close(self) -> None:
        """End all that stands by, and wait until nothing is left of it, and of what is being ended."""
        standbys = (each.close() for each in self._standbys.values())
        await asyncio.gather(self.leftovers.all_cleared(), *standbys)

    def make(self, unit: UnitConfig, generation: int, unit_log: UnitLog) -> Worker:
        """The worker of a generation; it does nothing before its `start`."""
        if unit.app is not None or unit.command is not None:
            if (adopted := self._adoptable.pop(unit.name, None)) is not None:
                adopted.become(generation, unit_log)
                return adopted
            known = self._standbys.get(unit.name)
            worker = (known.take(unit) if known is not None else None) or self._launched(unit)
            worker.become(generation, unit_log)
            return worker
        find = partial(_known, unit)
        if unit.register:
            find = partial(self.registrations.find, unit.name)
        return Attached(unit, generation, unit_log, master_id=self.master_id, find=find)

    def _launched(self, unit: UnitConfig) -> Spawned:
        """One that is no generation yet, with a log of its own."""
        if unit.lifetime == "survive":
            return self._surviving(unit)
        folder, gateway = self.folder, str(self.gateway)
        return Spawned(unit, folder=folder, gateway=gateway, **self._means(unit))

    def _surviving(self, unit: UnitConfig, record: Record | None = None) -> Surviving:
        assert self.survivors is not None
        return Surviving(unit, self.survivors, record, **self._means(unit))

    def _means(self, unit: UnitConfig) -> Means:
        forked = template_of(unit, {}) is not None and unit.name not in self._unforkable
        return Means(
            master_id=self.master_id,
            keeper=self.keeper,
            tokens=self.tokens,
            # A fork costs so little that it needs no turn.
            slots=None if forked else self.slots,
            tell_unforkable=self._tell_unforkable,
        )

    def _tell_unforkable(self, unit: str, why: str) -> None:
        # Once is enough: its next starts are no different.
        if self._unforkable.get(unit) != why:
            self._unforkable[unit] = why
            log.warning("unit %r is spawned, not forked: %s", unit, why)


def _template(unit: UnitConfig) -> Mapping[str, object] | None:
    return template_of(unit, child_environment(unit, os.environ))


def _unwanted(record: Record, unit: UnitConfig) -> str:
    """Why a unit doesn't adopt what its record tells of; empty: it does."""
    if unit.lifetime != "survive":
        return "its unit doesn't survive any more"
    if not record.pid:
        return "its start had only begun"
    if record.ending:
        return "its end had begun"
    if record.launch != launch_digest(unit):
        return "its table has changed"
    return 'survivor = "stop"' if unit.survivor == "stop" else ""


async def _known(unit: UnitConfig) -> Whereabouts:
    assert unit.address is not None
    token = read_token(unit.token_file) if unit.token_file is not None else ""
    return Whereabouts(address=Address.parse(unit.address), token=token)
