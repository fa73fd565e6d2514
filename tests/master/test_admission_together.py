"""Sharing where it meets what else a unit can be: true processes, or a virtual clock."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsu_worker.errors import FailedPrecondition
from hsu_worker.master.admission import Admission
from hsu_worker.master.group_table import GroupConfig
from hsu_worker.master.instance import ENTRIES
from hsu_worker.master.logs import UnitLog
from hsu_worker.master.policy import Phase
from hsu_worker.master.residency import Event, Member, Pool, Ready, Rules, Weighed
from hsu_worker.master.tables import UnitConfig
from tests.master.running import app, processes_in
from tests.master.sim.fakes import WELL, FakeWorker, Plan, virtual
from tests.master.test_admission import GPU, gpu, sharing, toml
from tests.master.test_dependencies import Village
from tests.master.test_survival import end_all_in
from tests.until import until

#: Its array is a hundred megabytes. A call with a number waits for a file.
HEAVY = """
@lifespan
def loaded(self):
    self.table = b"x" * 100_000_000
    yield
async def unary(self, request):
    Path(f"held-{request.number}").touch()
    while request.number and not Path(f"go-{request.number}").exists():
        await asyncio.sleep(0.01)
    return Answer(text=os.environ["HSU_NAME"])
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as name:
        yield Path(name)
        end_all_in(Path(name))


#: It takes its time, as long as there is a file.
SLOW = """
@lifespan
async def loaded(self):
    while Path(f"slow-{os.environ['HSU_NAME']}").exists():
        await asyncio.sleep(0.01)
    yield
async def unary(self, request):
    return Answer(text=os.environ["HSU_NAME"])
"""


def machine(folder: Path, memory: str, **units: str) -> str:
    bounds = f'[master]\nmemory = "{memory}"\nmin_residency = "0s"\nmax_wait = "1ms"\n'
    return toml(app(folder, HEAVY), bounds, **units)


async def test_a_replica_that_does_not_fit_waits_while_the_other_one_serves(tmp_path: Path) -> None:
    text = machine(tmp_path, "220MB", a="concurrency = 1\nreplicas = 2")
    async with sharing(tmp_path, text) as it:
        # What it takes is known from now on.
        await it.ask("a")
        calls = [asyncio.create_task(it.ask("a", number)) for number in (1, 2)]
        waits = await it.event("progress")
        assert waits.detail.startswith("waits for memory: it needs 1")
        status = it.master.status()["a"]
        assert [Phase.READY, Phase.STARTING] == [each.phase for each in status.replicas]
        assert status.replicas[1].detail == waits.detail
        for number in (1, 2):
            (tmp_path / f"go-{number}").touch()
        assert ["a", "a"] == await asyncio.gather(*calls)
        assert [] == [event for event in it.told if event.kind == "stopping"]


async def test_a_unit_that_a_reload_removed_has_its_room_until_it_has_left(tmp_path: Path) -> None:
    text = gpu(tmp_path, a="", b="")
    async with sharing(tmp_path, text) as it:
        running = asyncio.create_task(it.ask("a", 1))
        await until((tmp_path / "held-1").exists)
        it.file.write_text(
            f"[units.b]{text.partition('[units.b]')[2]}".replace('= "a"\n', '= "b"\n')
        )
        reloading = asyncio.create_task(it.master.reload())
        await until(lambda: set(it.master.status()) == {"b"})
        # The licence is still the other one's, and a start without it fails.
        waiting = asyncio.create_task(it.ask("b"))
        assert "waits for unit 'a' of group 'gpu'" == (await it.event("progress")).detail
        (tmp_path / "go-1").touch()
        assert ("a", "b") == (await running, await waiting)
        assert ("a",) == (await reloading).removed


async def test_of_survivors_that_do_not_fit_together_the_idle_ones_go(folder: Path) -> None:
    survives = 'lifetime = "survive"\nmemory = "100MB"\n'
    text = toml(app(folder), "", a=survives, b=survives)
    text += f'[master]\nruntime_dir = "{folder / "r"}"\n'
    async with sharing(folder, text) as it:
        for unit in "ab":
            await it.master.start(unit)
    bounded = text.replace(survives, f'{survives}groups = ["gpu"]\n')
    async with sharing(folder, bounded + GPU) as it:
        assert ["adopt", "adopt"] == [each.trigger for each in it.told if each.kind == "starting"]
        stopping = await it.event("stopping")
        told = "'a' and 'b' are there at once, and group 'gpu' is exclusive"
        assert ("evicted", told) == (stopping.trigger, stopping.detail)
        await it.event("stopped")
        assert 1 == len(processes_in(folder))


async def test_nobody_drains_what_it_depends_on(tmp_path: Path) -> None:
    memory = 'memory = "100MB"\n'
    text = machine(tmp_path, "250MB", a=f'{memory}depends_on = ["b"]', b=memory, c=memory)
    async with sharing(tmp_path, text) as it:
        # Of those that are in use it was not called for the longest time.
        await it.ask("b")
        running = asyncio.create_task(it.ask("c", 1))
        await until((tmp_path / "held-1").exists)
        waiting = asyncio.create_task(it.ask("a"))
        await until(lambda: {Phase.READY} != {it.phase("b"), it.phase("c")})
        (tmp_path / "go-1").touch()
        assert ("c", "a") == (await running, await waiting)
        assert ([], 1) == (it.evictions("b"), len(it.evictions("c")))


@virtual
async def test_who_was_warm_has_its_minimum_residency_from_when_it_serves_again() -> None:
    gpu = GroupConfig(exclusive=True, min_residency=3.0)
    member = {"groups": ("gpu",), "warm": 600.0}
    async with Village({"a": member, "b": member}, {}, groups={"gpu": gpu}) as it:
        await it.call("a")
        await it.until(20.0)
        await it.call("a")
        await it.call("b")
        assert [(1.0, "a"), (20.2, "a"), (24.7, "b")] == it.when("ready")


async def test_a_warm_start_that_waits_too_long_for_what_it_depends_on_gives_its_room_back(
    tmp_path: Path,
) -> None:
    warm = 'depends_on = ["b"]\nidle = "50ms"\nwarm = "100s"\nstart_timeout = "2s"'
    text = toml(app(tmp_path, SLOW), "", a=warm, b='idle = "50ms"')
    async with sharing(tmp_path, text) as it:
        await it.ask("a")
        await it.event("stopped")
        assert (Phase.WARM, Phase.ABSENT) == (it.phase("a"), it.phase("b"))
        (tmp_path / "slow-b").touch()
        waiting = asyncio.create_task(it.ask("a"))
        failed = await it.event("failed")
        why = "its `start_timeout` of 2 s is over, and it waits for unit 'b'"
        assert ("a", 1, why) == (failed.unit, failed.generation, failed.detail)
        (tmp_path / "slow-b").unlink()
        assert "a" == await waiting
        assert 2 == it.master.status()["a"].generation


@virtual
async def test_a_start_whose_dependency_had_to_go_while_it_waited_has_it_started_again() -> None:
    ram = GroupConfig(memory=700, min_residency=0.0, max_wait=5.0)
    tables = {
        name: {"groups": ("ram",), "memory": 300, "depends_on": needs}
        for name, needs in {"a": ("b",), "b": (), "c": ("d",), "d": ()}.items()
    }
    async with Village(tables, {}, groups={"ram": ram}) as it:
        calls = [asyncio.ensure_future(it.call(unit)) for unit in "ac"]
        assert [1, 1] == await asyncio.gather(*calls)
        # Neither fits beside what both depend on, so the one that came later gives way.
        assert ["d", "a", "b"] == [unit for _, unit in it.when("stopping")]
        assert ["b", "d", "a", "d", "c"] == [unit for _, unit in it.when("ready")]


@virtual
async def test_a_swap_that_runs_out_of_memory_leaves_nothing_behind() -> None:
    ram = GroupConfig(memory=700, min_residency=0.0)
    member = {"groups": ("ram",), "memory": 100}
    hungry = {"a": [WELL, Plan(fails="MemoryError: no room")]}
    async with Village({"a": member, "b": member}, hungry, groups={"ram": ram}) as it:
        await asyncio.gather(it.call("a"), it.call("b"))
        with pytest.raises(FailedPrecondition, match="MemoryError"):
            await it.units.swap("a", it.config.units["a"])
        await it.units["a"].stop()
        # The next start is one like any other, and sends nobody away.
        assert 3 == await it.call("a")
        assert "ready" == it.phase("b")


@virtual
async def test_what_depends_on_units_that_are_never_there_together_starts_all_the_same() -> None:
    # The tables of a file may not say so; what is learned of memory may come to the same.
    gpu = GroupConfig(exclusive=True, min_residency=0.0, max_wait=5.0)
    member = {"groups": ("gpu",)}
    async with Village(
        {"a": {"depends_on": ("b", "c")}, "b": member, "c": member}, {}, groups={"gpu": gpu}
    ) as it:
        assert 1 == await it.call("a", timeout=300)
        turns = ["b", "c"] * (ENTRIES // 2)
        assert [*turns, "b", "a"] == [unit for _, unit in it.when("ready")]


@virtual
async def test_what_one_takes_is_known_before_others_are_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admission, told = Admission({}), list[Event]()
    member = Member(pools=("",))
    admission.configure(Rules(pools={"": Pool(memory=700)}, members={"a": member}))
    worker = FakeWorker(UnitConfig(name="a", app="a:A", implements=()), 1, UnitLog(), WELL)
    worker.pid = os.getpid()
    admission.take(worker)
    monkeypatch.setattr(admission, "feed", told.append)
    worker.residence.ready()
    assert [Weighed, Ready] == [type(event) for event in told]
