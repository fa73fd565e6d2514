"""Units that share a group or memory, with true processes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsu_worker.errors import DeadlineExceeded, RpcError, StartError
from hsu_worker.master import Config
from hsu_worker.master.policy import Phase
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master import crowded
from tests.master.running import KINDS, Running, app, processes_in
from tests.until import until
from tests.worker.process import ROOT

#: Nobody else holds the licence while it lives, and it takes its time to leave: otherwise its start fails. A call with a number waits for
#: a file, one with a text for so many seconds.
LICENSED = """
@lifespan
def licensed(self):
    self.licence = open("licence", "w")
    fcntl.flock(self.licence, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield
    time.sleep(0.2)
async def unary(self, request):
    Path(f"held-{request.number}").touch()
    while request.number and not Path(f"go-{request.number}").exists():
        await asyncio.sleep(0.01)
    await asyncio.sleep(float(request.text or 0))
    return Answer(number=os.getpid(), text=os.environ["HSU_NAME"])
"""

#: Its start runs out of memory, as the file says: never, always, or while another unit has some.
HUNGRY = """
@lifespan
def fed(self):
    mine = Path(f"fed-{os.environ['HSU_NAME']}")
    with open("starts", "a") as file:
        file.write(f"{os.environ['HSU_NAME']}\\n")
    hunger = Path("hunger").read_text() if os.environ["HSU_NAME"] == "a" else "never"
    if hunger == "always" or (hunger == "beside" and list(Path().glob("fed-*"))):
        raise MemoryError("no room for the table")
    mine.touch()
    yield
    mine.unlink()
async def unary(self, request):
    return Answer(number=os.getpid())
"""

GPU = '[groups.gpu]\nexclusive = true\nmin_residency = "100ms"\nmax_wait = "500ms"\n'


def toml(launch: str, sharing: str, **units: str) -> str:
    tables = [
        f"[units.{name}]\n{launch}\nimplements = {KINDS}\n"
        f'env = {{PYTHONPATH = "{ROOT}", HSU_NAME = "{name}"}}\n{lines}\n'
        for name, lines in units.items()
    ]
    return "\n".join([*tables, f'[routes]\n"{Kinds.name}" = "a"', sharing])


class Sharing(Running):
    """A master whose units share something."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.file = folder / "hsu.toml"
        self.file.write_text(text)
        super().__init__(Config.from_file(self.file))

    async def ask(self, unit: str, number: int = 0, *, text: str = "", timeout: float = 30) -> str:
        ask = Ask(number=number, text=text)
        return (await self.master.client(Kinds, unit=unit).unary(ask, timeout=timeout)).text

    def evictions(self, unit: str) -> list[str]:
        """What `why` tells of them."""
        return [
            event.detail
            for event in self.master.why(unit)
            if (event.kind, event.trigger) == ("stopping", "evicted")
        ]

    def phase(self, unit: str) -> Phase:
        return self.master.status()[unit].phase


@asynccontextmanager
async def sharing(folder: Path, text: str) -> AsyncGenerator[Sharing, None]:
    it = Sharing(folder, text)
    async with it.master:
        yield it


def gpu(folder: Path, **units: str) -> str:
    """Units of an exclusive group."""
    launch = app(folder, LICENSED, before="import fcntl")
    member = 'groups = ["gpu"]\n'
    return toml(launch, GPU, **{name: member + lines for name, lines in units.items()})


async def test_t31_only_one_of_an_exclusive_group_is_alive_and_nobody_starves(
    tmp_path: Path,
) -> None:
    most, calls = 0, 0

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, len(processes_in(tmp_path)))
            await asyncio.sleep(0.002)

    async def call(it: Sharing, number: int) -> None:
        nonlocal calls
        for turn in range(6):
            unit = "ab"[(number + turn) % 2]
            assert unit == await it.ask(unit)
            calls += 1

    async with sharing(tmp_path, gpu(tmp_path, a="", b="")) as it:
        looking = asyncio.create_task(look())
        await asyncio.gather(*(call(it, number) for number in range(50)))
        looking.cancel()
        assert (300, 1) == (calls, most)
        starts = sum(event.kind == "starting" for event in it.told)
        # All who wait for a unit are served in one turn of it; six turns of each would do.
        assert starts <= 24
        told = [*it.evictions("a"), *it.evictions("b")]
        assert starts - 1 == len(told)
        assert all(
            text.startswith(("unit 'a' needs group", "unit 'b' needs group")) for text in told
        )


async def test_t32_sustained_load_on_the_resident_does_not_keep_the_other_one_out(
    tmp_path: Path,
) -> None:
    text = gpu(tmp_path, a="", b="")
    service = (tmp_path / "mysvc.py").read_text()
    (tmp_path / "other.py").write_text(service.replace('"licence"', '"another"'))
    text += toml('app = "other:Service"', "", c="").partition("[routes]")[0]
    served = 0

    async def load(it: Sharing, number: int) -> None:
        nonlocal served
        while True:
            # There is always one of them that runs.
            await it.ask("a", text=f"0.{number + 3:02}")
            served += 1

    async with sharing(tmp_path, text) as it:
        await it.ask("a")
        await it.ask("c")
        pid = it.master.status()["c"].pid
        callers = [asyncio.create_task(load(it, number)) for number in range(8)]
        assert "b" == await it.ask("b", timeout=20)
        [why] = it.evictions("a")
        assert why.startswith("unit 'b' needs group 'gpu'")
        before = served
        await until(lambda: served > before + 8)
        for caller in callers:
            caller.cancel()
        ended = await asyncio.gather(*callers, return_exceptions=True)
        assert not [error for error in ended if isinstance(error, RpcError)]
        assert pid == it.master.status()["c"].pid
        assert [] == it.evictions("c")


async def test_t32_a_call_in_the_instant_of_the_eviction_is_served(tmp_path: Path) -> None:
    async with sharing(tmp_path, gpu(tmp_path, a="", b="")) as it:
        for _ in range(5):
            await it.ask("a")
            newcomer = asyncio.create_task(it.ask("b"))
            await it.event("progress")
            victim = asyncio.create_task(it.ask("a"))
            assert ("b", "a") == (await newcomer, await victim)


async def test_who_waits_is_told_for_what_and_its_own_deadline_holds(tmp_path: Path) -> None:
    text = gpu(tmp_path, a="", b='stall = "2s"').replace("500ms", "20s")
    async with sharing(tmp_path, text) as it:
        running = asyncio.create_task(it.ask("a", 1))
        await until((tmp_path / "held-1").exists)
        with pytest.raises(DeadlineExceeded) as raised:
            await it.ask("b", timeout=2.5)
        assert "(starting): waits for unit 'a' of group 'gpu'" in str(raised.value)
        status = it.master.status()["b"]
        # Its `stall` is over by now, and it has not begun.
        assert (Phase.STARTING, "waits for unit 'a' of group 'gpu'") == (
            status.phase,
            status.detail,
        )
        (tmp_path / "go-1").touch()
        assert "a" == await running
        assert "b" == await it.ask("b")
        assert it.master.status()["b"].detail.startswith("pid ")


async def test_a_swap_in_an_exclusive_group_ends_the_old_one_first(tmp_path: Path) -> None:
    async with sharing(tmp_path, gpu(tmp_path, a="")) as it:
        await it.ask("a")
        running = asyncio.create_task(it.ask("a", 1))
        await until((tmp_path / "held-1").exists)
        swapping = asyncio.create_task(it.master.swap("a"))
        await until(lambda: it.phase("a") is Phase.DRAINING)
        waiting = asyncio.create_task(it.ask("a"))
        (tmp_path / "go-1").touch()
        assert ("a", "a") == (await running, await waiting)
        assert 2 == await swapping
        assert ["unit 'a' needs group 'gpu'"] == it.evictions("a")


def hungry(folder: Path, hunger: str) -> str:
    (folder / "hunger").write_text(hunger)
    launch = app(folder, HUNGRY)
    memory = 'memory = "100MB"\n'
    machine = '[master]\nmemory = "1GB"\nmin_residency = "0s"\n'
    return toml(launch, machine, a=memory, b=memory, c=memory)


async def test_t33_a_start_that_runs_out_of_memory_is_tried_once_more_with_the_others_gone(
    tmp_path: Path,
) -> None:
    async with sharing(tmp_path, hungry(tmp_path, "beside")) as it:
        await it.ask("b")
        await it.ask("c")
        await it.ask("a")
        assert ["b", "c", "a", "a"] == (tmp_path / "starts").read_text().split()
        why = "unit 'a' ran out of memory when it was started beside others"
        assert ([why], [why]) == (it.evictions("b"), it.evictions("c"))
        starts = [event for event in it.master.why("a") if event.kind == "starting"]
        again = "unit 'a' ran out of memory; it is tried once more without 'b' and 'c'"
        assert ("memory", again) == (starts[1].trigger, starts[1].detail)
        # They come back, beside it.
        await it.ask("b")
        assert Phase.READY is it.phase("a")


async def test_t33_a_second_time_is_the_last_and_a_clear_error(tmp_path: Path) -> None:
    async with sharing(tmp_path, hungry(tmp_path, "always")) as it:
        await it.ask("b")
        with pytest.raises(StartError) as raised:
            await it.ask("a")
        assert "MemoryError: no room for the table" in str(raised.value)
        assert "memory ran out, also with nobody else there" in str(raised.value)
        assert ["b", "a", "a"] == (tmp_path / "starts").read_text().split()
        assert 1 == len(it.evictions("b"))
        # With nobody to send away it is not tried twice.
        with pytest.raises(StartError):
            await it.ask("a")
        assert ["b", "a", "a", "a"] == (tmp_path / "starts").read_text().split()


async def test_a_reload_bounds_those_that_run_and_frees_those_that_wait(tmp_path: Path) -> None:
    loose = gpu(tmp_path, a="", b="").replace("exclusive = true", 'memory = "1GB"')
    module = tmp_path / "mysvc.py"
    module.write_text(module.read_text().replace('"licence"', 'os.environ["HSU_NAME"]'))
    async with sharing(tmp_path, loose) as it:
        await it.ask("a")
        await it.ask("b")
        it.file.write_text(loose.replace('memory = "1GB"', "exclusive = true"))
        assert ("a", "b") == (await it.master.reload()).adjusted
        # The one that was not used for longer has to go.
        await until(lambda: it.phase("a") is Phase.ABSENT)
        told = "'a' and 'b' are there at once, and group 'gpu' is exclusive"
        assert ([told], []) == (it.evictions("a"), it.evictions("b"))
        running = asyncio.create_task(it.ask("b", 1))
        await until((tmp_path / "held-1").exists)
        it.file.write_text(it.file.read_text().replace("500ms", "60s"))
        await it.master.reload()
        waiting = asyncio.create_task(it.ask("a"))
        await until(lambda: it.master.status()["a"].detail.startswith("waits"))
        it.file.write_text(loose)
        await it.master.reload()
        assert "a" == await waiting
        (tmp_path / "go-1").touch()
        assert "b" == await running


async def test_calls_of_units_that_do_not_fit_into_memory_together(tmp_path: Path) -> None:
    report = await crowded.work(150, seed=1)
    assert [] == report.lost
    assert [] == report.unexplained
    assert report.peak <= crowded.BUDGET
    assert report.together <= 2
    assert report.starts - report.evictions.total() <= 2
    assert report.longest <= crowded.LONGEST
    assert report.holds


@pytest.mark.parametrize(
    ("seen", "holds"),
    [
        (crowded.Report(longest=crowded.LONGEST, peak=crowded.BUDGET), True),
        (crowded.Report(longest=crowded.LONGEST + 0.1), False),
        (crowded.Report(peak=crowded.BUDGET + 1), False),
        (crowded.Report(lost=["a: it is late"]), False),
        (crowded.Report(unexplained=["nobody knows"]), False),
    ],
)
def test_the_run_of_units_that_do_not_fit_fails_for_each_broken_promise(
    seen: crowded.Report, holds: bool
) -> None:
    assert holds == seen.holds
