"""A unit with replicas: the true owners, with workers that exist in this process alone."""

from dataclasses import replace
from typing import Any

from hsu_worker.master.logs import UnitLog
from hsu_worker.master.policy import Phase
from hsu_worker.master.replicas import Replicas
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.unit_rules import rules_of
from tests.gen.hsu_test_kinds import KindsClient
from tests.master.sim.books import Books
from tests.master.sim.fakes import CheckedUnit, FakeWorker, House, Plan


class Row(House):
    """A house with several workers at the same time.

    Args:
        plans: As a house has them, by generation.

        replicas: How many workers.

        config: Keys of the unit's table.
    """

    def __init__(
        self, *plans: Plan, replicas: int = 2, concurrency: int = 1, **config: Any
    ) -> None:
        super().__init__(*plans, app="m:A", replicas=replicas, concurrency=concurrency, **config)
        self.owners = [self.unit]
        self.replicas = Replicas(self.unit, self._another)
        self.client = KindsClient(self.replicas.lease(None))
        self.most_alive = 0

    @property
    def alive(self) -> list[FakeWorker]:
        """Those that are not ended yet."""
        return [worker for worker in self.workers if not worker.stopped]

    @property
    def phases(self) -> list[Phase]:
        return [unit.state.phase for unit in self.replicas.units]

    def change(self, *, relaunch: bool = False, **keys: Any) -> None:
        """As a reload does it, with keys that need a new process or none."""
        self.config = replace(self.config, **keys)
        self.replicas.reconfigure(self.config, keys, relaunch=relaunch)

    def _another(self, config: UnitConfig, log: UnitLog) -> CheckedUnit:
        unit = CheckedUnit(config, self._make, self._tell, log)
        unit.books = Books(rules_of(config))
        self.owners.append(unit)
        return unit

    def _make(self, unit: UnitConfig, generation: int, unit_log: UnitLog) -> FakeWorker:
        worker = super()._make(unit, generation, unit_log)
        self.most_alive = max(self.most_alive, len(self.alive))
        return worker

    async def close(self) -> None:
        await self.replicas.close()
        assert [] == self.alive, "a worker was never ended"
        assert 0 == self.replicas.waiters
        for unit in self.owners:
            assert (0, ()) == (unit.state.leases, unit.state.generations)
            assert not unit.books.swaps
