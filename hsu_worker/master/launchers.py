"""Which launcher makes the worker of a unit."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hsu_worker.master.attached import Attached, Whereabouts
from hsu_worker.master.keeping import Keeper
from hsu_worker.master.launcher import Worker
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.registry import Registrations
from hsu_worker.master.secret_file import read_token
from hsu_worker.master.spawned import Spawned
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.tokens import Tokens
from hsu_worker.wire.address import Address


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

    def make(self, unit: UnitConfig, generation: int, unit_log: UnitLog) -> Worker:
        """The worker of a generation; it does nothing before its `start`."""
        if unit.app is not None or unit.command is not None:
            return Spawned(
                unit,
                generation,
                unit_log,
                master_id=self.master_id,
                keeper=self.keeper,
                folder=self.folder,
                tokens=self.tokens,
                gateway=str(self.gateway),
            )
        find = partial(_known, unit)
        if unit.register:
            find = partial(self.registrations.find, unit.name)
        return Attached(unit, generation, unit_log, master_id=self.master_id, find=find)


async def _known(unit: UnitConfig) -> Whereabouts:
    assert unit.address is not None
    token = read_token(unit.token_file) if unit.token_file is not None else ""
    return Whereabouts(address=Address.parse(unit.address), token=token)
