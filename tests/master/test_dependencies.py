"""Units that depend on others: true owners and workers of this process, under a virtual clock."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from hsu_worker.errors import RpcError
from hsu_worker.master.changes import Changes
from hsu_worker.master.config import Config
from hsu_worker.master.event import Event
from hsu_worker.master.launchers import Launchers
from hsu_worker.master.leftovers import Leftovers
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.master_table import MasterConfig
from hsu_worker.master.policy import StartWanted, StopAsked
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.units import Units
from tests.gen.hsu_test_kinds import Ask, KindsClient
from tests.master.sim.fakes import WELL, FakeWorker, Plan, virtual

#: Of each unit, whatever the test is about.
QUIET: dict[str, Any] = {"idle": 5.0}


class Village:
    """Several units, and what was told of them.

    Args:
        tables: Keys of each unit's table.

        plans: How its workers behave, one after the other; those that are not there do well.

        sharing: Of the configuration, the groups and what is bounded.
    """

    def __init__(
        self, tables: dict[str, dict[str, Any]], plans: dict[str, list[Plan]], **sharing: Any
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.plans = plans
        self.adopting = False
        """Whether the workers to come run already."""
        self.told: list[tuple[float, str, str, str]] = []
        self.workers: list[FakeWorker] = []
        self.units = Units(self._tell, lambda _: None)
        self.leftovers = Leftovers()
        self.sharing: dict[str, Any] = {"master": MasterConfig(), **sharing}
        self.config = self.read(tables)

    def read(self, tables: dict[str, dict[str, Any]]) -> Config:
        units = {
            name: UnitConfig(name=name, app="a:A", implements=(f"i.{name}",), **QUIET | keys)
            for name, keys in tables.items()
        }
        return Config(units=units, routes={}, folder=Path(), **self.sharing)

    def _tell(self, event: Event) -> None:
        at = round(self.loop.time() - self.began, 6)
        self.told.append((at, event.unit, event.kind, event.detail))

    # What stands for the launchers.

    def leave(self) -> None:
        """None of its workers outlives it."""

    def make(self, unit: UnitConfig, generation: int, unit_log: UnitLog) -> FakeWorker:
        plans = self.plans.get(unit.name, [])
        plan = plans[generation - 1] if generation <= len(plans) else WELL
        worker = FakeWorker(unit, generation, unit_log, plan)
        worker.adopting = self.adopting
        self.workers.append(worker)
        return worker

    def prepare(self, _units: object) -> None:
        """Nothing stands by."""

    async def sort_survivors(self, _units: object) -> list[str]:
        """Nothing has outlived an earlier master."""
        return []

    def keep_templates(self, _units: object) -> None:
        """Nothing is forked."""

    def forget(self, _unit: str) -> None:
        """Nothing is kept."""

    # What a test asks.

    def when(self, kind: str) -> list[tuple[float, str]]:
        """The units to which something happened, and when."""
        return [(at, unit) for at, unit, told, _ in self.told if told == kind]

    def phase(self, unit: str) -> str:
        return self.units[unit].state.phase

    async def call(self, unit: str, timeout: float | None = None) -> int | str:
        try:
            client = KindsClient(self.units[unit].lease(None))
            return (await client.unary(Ask(), timeout=timeout)).number
        except RpcError as error:
            return error.message

    async def until(self, at: float) -> None:
        await asyncio.sleep(self.began + at - self.loop.time())

    async def __aenter__(self) -> "Village":
        self.units.open(self.config, cast("Launchers", self))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.units.close()
        assert all(worker.stopped for worker in self.workers)
        assert [0] * len(self.units) == [unit.state.needed for unit in self.units.values()]


def village(**tables: Any) -> Village:
    """Units and what they depend on, or their tables; `plans` apart."""
    plans = tables.pop("plans", {})
    keys = {
        name: table if isinstance(table, dict) else {"depends_on": tuple(table)}
        for name, table in tables.items()
    }
    return Village(keys, plans)


@virtual
async def test_t42_what_a_unit_depends_on_is_ready_before_it_starts() -> None:
    async with village(a=["b", "c"], b=["c"], c=[]) as it:
        assert 1 == await it.call("a")
        assert [(1.0, "c"), (2.0, "b"), (3.0, "a")] == it.when("ready")
        details = {unit: detail for _, unit, kind, detail in it.told if kind == "starting"}
        assert details == {
            "a": "a call",
            "b": "unit 'a' depends on it",
            "c": "unit 'a' depends on it",
        }


@virtual
async def test_t42_no_budget_of_a_start_runs_while_it_waits() -> None:
    async with village(
        a={"depends_on": ("b",), "start_timeout": 2.0},
        b={"start_timeout": 300.0},
        plans={"b": [Plan(startup=200.0)]},
    ) as it:
        assert 1 == await it.call("a")
        assert [(200.0, "b"), (201.0, "a")] == it.when("ready")


@virtual
async def test_t42_while_it_waits_it_says_so() -> None:
    async with village(a=["b", "c"], b=[], c=[], plans={"b": [Plan(startup=9.0)]}) as it:
        call = asyncio.ensure_future(it.call("a", timeout=5.0))
        await it.until(0.5)
        worker = it.units["a"].worker
        assert worker is not None
        assert "waits for units 'b' and 'c'" == worker.detail
        await it.until(2.0)
        assert "waits for unit 'b'" == worker.detail
        expected = "unit 'a': the time ran out while waiting for it (starting): waits for unit 'b'"
        assert expected == await call
        assert ["waits for units 'b' and 'c'", "waits for unit 'b'"] == [
            detail for _, unit, kind, detail in it.told if (unit, kind) == ("a", "progress")
        ]


@virtual
async def test_t42_a_failure_fails_the_start_with_its_cause() -> None:
    plans = {"c": [Plan(fails="unit 'c' did not start: no disk")]}
    async with village(a=["b"], b=["c"], c=[], plans=plans) as it:
        expected = (
            "unit 'a' did not start: it depends on 'b': "
            "unit 'b' did not start: it depends on 'c': unit 'c' did not start: no disk"
        )
        assert [expected] * 2 == list(await asyncio.gather(it.call("a"), it.call("a")))
        assert 2 == await it.call("a")


@virtual
async def test_t42_what_is_held_stays_so_and_is_named() -> None:
    async with village(a=["b"], b=[]) as it:
        await it.units["b"].stop(hold=True)
        expected = (
            "unit 'a' did not start: it depends on 'b': "
            "unit 'b' is held: somebody stopped it; `hsu-worker start b`"
        )
        assert expected == await it.call("a")
        assert "held" == it.phase("b")


@virtual
async def test_t42_it_is_not_stopped_for_being_idle_while_it_is_needed() -> None:
    async with village(a={"depends_on": ("b",), "idle": 60.0}, b=[]) as it:
        await it.call("a")
        await it.until(50.0)
        assert "ready" == it.phase("b")
        await it.until(70.0)
        assert [(62.0, "a"), (67.5, "b")] == it.when("stopping")


@virtual
async def test_a_start_that_is_stopped_as_it_begins_lets_go_what_it_has_taken() -> None:
    async with village(a=["b"], b={"idle": 2.0}) as it:
        it.units["a"].tell(StartWanted())
        it.units["a"].tell(StopAsked())
        await it.call("b")
        assert 0 == it.units["b"].state.needed
        await it.until(4.0)
        assert "absent" == it.phase("b")


@virtual
async def test_a_warm_start_does_not_wait_for_ever_for_what_it_depends_on() -> None:
    slow = {"b": [WELL, Plan(startup=30.0)]}
    warm = {"depends_on": ("b",), "warm": 600.0, "start_timeout": 4.0}
    async with village(a=warm, b={"start_timeout": 60.0}, plans=slow) as it:
        assert 1 == await it.call("a")
        await it.until(20.0)
        assert ("warm", "absent") == (it.phase("a"), it.phase("b"))
        # What it has may be what the other one waits for: the next process waits without it.
        assert 2 == await it.call("a")
        why = "its `start_timeout` of 4 s is over, and it waits for unit 'b'"
        assert [(24.5, "a", "failed", why)] == [each for each in it.told if each[2] == "failed"]
        assert [(1.0, "b"), (2.0, "a"), (50.0, "b"), (51.0, "a")] == it.when("ready")


@virtual
async def test_a_warm_start_looks_again_when_one_that_it_depends_on_ends_while_it_waits_for_another() -> (
    None
):
    plans = {"b": [WELL, Plan(lives=3.0, clean=True)], "c": [WELL, Plan(startup=9.0)]}
    tables = {"a": {"depends_on": ("b", "c"), "warm": 600.0}, "b": {}, "c": {}}
    async with Village(tables, plans) as it:
        await it.call("a")
        await it.until(20.0)
        assert ("warm", "absent", "absent") == (it.phase("a"), it.phase("b"), it.phase("c"))
        assert 1 == await it.call("a")
        again = [(21.0, "b"), (29.0, "c"), (30.0, "b"), (30.2, "a")]
        assert again == it.when("ready")[3:]


@virtual
async def test_a_warm_worker_needs_nothing_until_it_serves_again() -> None:
    async with village(a={"depends_on": ("b",), "warm": 600.0}, b=[]) as it:
        await it.call("a")
        await it.until(20.0)
        assert ("warm", "absent") == (it.phase("a"), it.phase("b"))
        assert 1 == await it.call("a")
        assert [(1.0, "b"), (2.0, "a"), (21.0, "b"), (21.2, "a")] == it.when("ready")
        await it.until(25.0)
        assert "ready" == it.phase("b")


@virtual
async def test_a_stop_of_what_others_need_leaves_them_alone() -> None:
    async with village(a={"depends_on": ("b",), "idle": 60.0}, b=[]) as it:
        await it.call("a")
        await it.units["b"].stop()
        assert ("ready", "absent") == (it.phase("a"), it.phase("b"))
        assert 2 == await it.call("b")
        await it.until(30.0)
        assert "ready" == it.phase("b")


@virtual
async def test_t42_at_the_end_each_is_stopped_after_those_that_depend_on_it() -> None:
    async with village(a=["b"], b=["c"], c=[], d=[]) as it:
        await asyncio.gather(it.call("a"), it.call("d"))
        await it.until(4.0)
        await it.units.close()
        assert [(4.5, "a"), (4.5, "d"), (5.0, "b"), (5.5, "c")] == sorted(it.when("stopped"))


@virtual
async def test_a_close_waits_for_nobody_who_waits() -> None:
    async with village(a=["b"], b=[], plans={"b": [Plan(startup=1e6)]}) as it:
        call = asyncio.ensure_future(it.call("a"))
        await it.until(1.0)
        await it.units.close()
        assert 2.0 == it.loop.time() - it.began
        assert "unit 'a': the master is leaving" == await call


@virtual
async def test_one_that_is_adopted_waits_for_nothing_and_keeps_what_it_needs() -> None:
    async with village(a=["b"], b=[], plans={"b": [Plan(fails="no disk")]}) as it:
        it.adopting = True
        assert 1 == await it.call("a")
        assert ([(1.0, "a")], 1) == (it.when("ready"), it.units["b"].state.needed)


@virtual
async def test_what_one_that_was_adopted_needs_is_started_when_the_master_begins() -> None:
    async with village(a=["b"], b=["c"], c=[]) as it:
        it.adopting = True
        await it.units["a"].start("adopt")
        it.adopting = False
        it.units.begin(it.config.units)
        await it.until(5.0)
        assert [(1.0, "a"), (2.0, "c"), (3.0, "b")] == it.when("ready")
        causes = [detail for _, unit, kind, detail in it.told if (unit, kind) == ("b", "starting")]
        assert ["unit 'a' depends on it"] == causes


@virtual
async def test_one_that_could_not_be_adopted_needs_nothing() -> None:
    async with village(a=["b"], b=[], plans={"a": [Plan(fails="it has ended")]}) as it:
        it.adopting = True
        with pytest.raises(RpcError):
            await it.units["a"].start("adopt")
        it.units.begin(it.config.units)
        await it.until(5.0)
        assert [] == [unit for _, unit, kind, _ in it.told if (unit, kind) == ("b", "starting")]


@virtual
async def test_a_reload_that_adds_a_dependency_replaces_the_worker() -> None:
    async with village(a=[], b=[]) as it:
        await it.call("a")
        await it.until(2.0)
        new = it.read({"a": {"depends_on": ("b",)}, "b": {}})
        await it.units.change(Changes(replaced=("a",)), it.config, new)
        await it.until(10.0)
        assert [(1.0, "a"), (3.0, "b"), (4.0, "a")] == it.when("ready")


@virtual
async def test_a_swap_keeps_what_both_need() -> None:
    async with village(a={"depends_on": ("b",), "idle": 60.0}, b=[]) as it:
        await it.call("a")
        assert 2 == await it.units["a"].swap(it.units["a"].config)
        await it.until(30.0)
        assert (1, "ready") == (it.units["b"].state.needed, it.phase("b"))


@pytest.mark.parametrize("at", [0.5, 1.0, 1.5])
@virtual
async def test_a_stop_during_the_start_lets_it_go(at: float) -> None:
    async with village(a=["b"], b=[]) as it:
        start = asyncio.ensure_future(it.units["a"].start())
        await it.until(at)
        await it.units["a"].stop()
        with pytest.raises(RpcError):
            await start
        assert 0 == it.units["b"].state.needed
        await it.until(20.0)
        assert "absent" == it.phase("b")
