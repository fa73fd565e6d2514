"""The file is read again while the master runs, and nobody is disturbed but whom it concerns."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsu_worker.errors import ConfigError, RpcError, Unavailable, Unimplemented
from hsu_worker.master import BlockingMaster, Changes, Config, Event, Master
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import KINDS, app, processes_in
from tests.until import until
from tests.worker.process import serving

#: Says who it is, and what it was launched with; a call with a number waits for a file.
BODY = """
async def unary(self, request):
    while request.number and not os.path.exists(request.text):
        await asyncio.sleep(0.01)
    return Answer(number=os.getpid(), text=os.environ.get("MODE", ""))
"""

NAMES = ["a", "b", "c", "d", "e"]


class File:
    """An `hsu.toml` of units that all do the same, each with further lines of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hsu.toml"
        self.launch = app(folder, BODY)
        self.units: dict[str, tuple[str, ...]] = dict.fromkeys(NAMES, ())
        self.route = "a"
        self.write()

    def write(self, **units: tuple[str, ...]) -> None:
        self.units |= units
        tables = [
            "\n".join([f"[units.{name}]", self.launch, f"implements = {KINDS}", *lines])
            for name, lines in self.units.items()
        ]
        routes = f'[routes]\n"{Kinds.name}" = "{self.route}"'
        self.path.write_text("\n".join([*tables, routes]))


class Reloading:
    def __init__(self, file: File) -> None:
        self.file = file
        self.told: list[Event] = []
        self.master = Master.from_file(file.path, on_event=self.told.append)

    async def ask(self, unit: str = "") -> tuple[int, str]:
        """Pid and mode of the worker that answers."""
        answer = await self.master.client(Kinds, unit=unit).unary(Ask(), timeout=30)
        return answer.number, answer.text

    def kinds(self, unit: str) -> list[str]:
        return [event.kind for event in self.told if event.unit == unit]


@asynccontextmanager
async def reloading(folder: Path) -> AsyncGenerator[Reloading, None]:
    it = Reloading(File(folder))
    async with it.master:
        yield it


async def test_t41_of_five_units_only_the_one_that_changed_is_replaced(tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    async with reloading(tmp_path) as it:
        before = {name: await it.ask(name) for name in NAMES}
        running = [
            asyncio.create_task(
                it.master.client(Kinds, unit=name).unary(Ask(text=go, number=1), timeout=30)
            )
            for name in NAMES
        ]
        await until(lambda: all(1 == each.leases for each in it.master.status().values()))
        it.file.write(c=('env = {MODE = "new"}',))
        assert Changes(replaced=("c",)) == await it.master.reload()
        await until(lambda: "swapped" in it.kinds("c"))
        # Nobody waits for the call that the old one still has.
        after = {name: await it.ask(name) for name in NAMES}
        (tmp_path / "go").touch()
        answers = [(await each).number for each in running]
        await until(lambda: "stopped" in it.kinds("c"))

    assert [pid for pid, _ in before.values()] == answers
    assert {"c": "new"} == {name: mode for name, (_, mode) in after.items() if mode}
    assert ["c"] == [name for name in NAMES if before[name][0] != after[name][0]]
    others = {kind for event in it.told if event.unit != "c" for kind in [event.trigger]}
    assert {"call", "start", "master"} == others


async def test_t41_a_file_with_mistakes_changes_nothing_and_tells_them_all(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        before = await it.ask("a")
        it.file.write(a=('env = {MODE = "new"}',), b=('idle = "soon"', "pined = true"))
        with pytest.raises(ConfigError) as caught:
            await it.master.reload()
        assert before == await it.ask("a")
        it.file.path.unlink()
        with pytest.raises(ConfigError, match="No such file"):
            await it.master.reload()
        assert before == await it.ask("a")

    message = str(caught.value)
    assert 2 == len(message.splitlines())
    assert "units.b.pined: unknown key; did you mean 'pinned'?" in message
    assert f"{it.file.path}: units.b.idle: " in message


async def test_what_needs_no_process_holds_at_once(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        before = await it.ask("a")
        it.file.write(a=('idle = "20ms"',))
        assert Changes(adjusted=("a",)) == await it.master.reload()
        await until(lambda: "stopped" in it.kinds("a"))
        it.file.write(a=('idle = "20s"', 'log_file = "a.log"'))
        assert Changes(adjusted=("a",)) == await it.master.reload()
        again = await it.ask("a")
        assert again == await it.ask("a")
        await it.master.stop("a")
        (last,) = it.master.log("a")[-1:]

    assert before != again
    lines = [json.loads(line) for line in (tmp_path / "a.log").read_text().splitlines()]
    assert lines[-1:] == [line for line in lines if line["sequence"] == last.sequence]
    assert [] == [line for line in lines if "dropped" in line]


async def test_units_come_and_go_and_clients_follow_the_route(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        routed, gone = it.master.client(Kinds), it.master.client(Kinds, unit="e")
        first = (await routed.unary(Ask())).number
        last = (await gone.unary(Ask())).number
        del it.file.units["e"]
        it.file.route = "b"
        it.file.write(f=("preload = true",))
        assert (
            Changes(added=("f",), removed=("e",), routed=(Kinds.name,)) == await it.master.reload()
        )

        assert last not in processes_in(tmp_path)
        with pytest.raises(Unimplemented, match="there is no unit 'e'; configured: a, b, c, d, f"):
            await gone.unary(Ask())
        assert first != (await routed.unary(Ask())).number
        assert ["a", "b", "c", "d", "f"] == list(it.master.status())
        await until(lambda: "ready" in it.kinds("f"))
        assert [("preload", "")] == [(e.trigger, "") for e in it.told if e.unit == "f"][:1]
        # It comes back as a new unit.
        it.file.write(e=())
        assert Changes(added=("e",)) == await it.master.reload()
        assert last != (await gone.unary(Ask())).number
        assert [1, 1] == [event.generation for event in it.master.why("e")]


async def test_calls_of_a_unit_that_is_removed_end_first(tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    async with reloading(tmp_path) as it:
        await it.ask("e")
        client = it.master.client(Kinds, unit="e")
        running = asyncio.create_task(client.unary(Ask(text=go, number=1), timeout=30))
        await until(lambda: 1 == it.master.status()["e"].leases)
        del it.file.units["e"]
        it.file.write()
        asked = asyncio.create_task(it.master.reload())
        await until(lambda: "e" not in it.master.status())
        # Whoever asked for it may go, and another one may ask for more.
        asked.cancel()
        it.file.write(e=())
        again = asyncio.create_task(it.master.reload())
        await asyncio.wait((asked,))
        (tmp_path / "go").touch()
        await running
        assert Changes(added=("e",)) == await again


async def test_an_implementation_that_was_swapped_in_stays_until_its_launch_changes(
    tmp_path: Path,
) -> None:
    async with reloading(tmp_path) as it:
        module = it.file.launch.split('"')[1].partition(":")[0]
        (tmp_path / "other.py").write_text(
            (tmp_path / f"{module}.py").read_text().replace('get("MODE", "")', 'get("X", "other")')
        )
        service = it.file.launch.split('"')[1].partition(":")[2]
        await it.ask("a")
        await it.master.swap("a", app=f"other:{service}")
        it.file.write(a=('idle = "1h"', "prewarm = 1"))
        assert Changes(adjusted=("a",)) == await it.master.reload()
        assert "other" == (await it.ask("a"))[1]
        await it.master.restart("a")
        assert "other" == (await it.ask("a"))[1]
        it.file.write(a=('env = {MODE = "new"}',))
        assert Changes(replaced=("a",)) == await it.master.reload()
        await until(lambda: 2 == it.kinds("a").count("swapped"))
        assert "new" == (await it.ask("a"))[1]


async def test_should_the_new_one_not_come_up_the_old_one_serves_on(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        before = await it.ask("a")
        (tmp_path / "broken.py").write_text("raise SystemExit('no licence')\n")
        it.file.launch = 'app = "broken:App"'
        it.file.units = {"a": ()}
        it.file.write()
        assert ("a",) == (await it.master.reload()).replaced
        await until(lambda: "swap failed" in it.kinds("a"))
        assert before == await it.ask("a")
        await it.master.stop("a")
        with pytest.raises(Unavailable, match="no licence"):
            await it.ask("a")


async def test_two_reloads_in_a_row_let_nobody_wait_for_the_calls_of_the_first(
    tmp_path: Path,
) -> None:
    go = str(tmp_path / "go")
    async with reloading(tmp_path) as it:
        client = it.master.client(Kinds, unit="a")
        await client.unary(Ask())
        running = asyncio.create_task(client.unary(Ask(text=go, number=1), timeout=30))
        await until(lambda: 1 == it.master.status()["a"].leases)
        it.file.write(a=('env = {MODE = "one"}',))
        await it.master.reload()
        await until(lambda: "swapped" in it.kinds("a"))
        it.file.write(a=('env = {MODE = "two"}',))
        assert ("a",) == (await it.master.reload()).replaced
        assert "one" == (await it.ask("a"))[1]
        assert not running.done()
        (tmp_path / "go").touch()
        await running
        await until(lambda: 2 == it.kinds("a").count("swapped"))
        assert "two" == (await it.ask("a"))[1]


async def test_a_registered_worker_is_told_that_its_unit_was_removed(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        module = it.file.launch.split('"')[1]
        it.file.launch = "register = true"
        it.file.units = {"a": (), "b": ()}
        it.file.write()
        await it.master.reload()
        assert it.master.address is not None
        token = tmp_path / "token"
        token.touch(0o600)
        token.write_text("of-the-worker")
        arguments = (
            module,
            f"--listen=unix:{tmp_path}/s",
            f"--token-file={token}",
            f"--register={it.master.address}",
            "--unit=a",
            f"--master-token-file={it.master.token_file}",
        )
        async with serving(tmp_path, *arguments):
            await it.ask("a")
            del it.file.units["a"]
            it.file.route = "b"
            it.file.write()
            assert ("a",) == (await it.master.reload()).removed
            assert it.master._launchers is not None
            assert not it.master._launchers.registrations.present("a")


async def test_standbys_that_are_no_longer_wanted_end(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        it.file.write(a=("prewarm = 1",))
        await it.master.reload()
        await until(lambda: 1 == len(_stand_by(it)))
        it.file.write(a=())
        assert ("a",) == (await it.master.reload()).adjusted
        await until(lambda: not _stand_by(it))


async def test_a_master_that_leaves_reads_nothing_again(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        pass
    it.file.write(f=())
    with pytest.raises(RuntimeError, match="the master is not running"):
        await it.master.reload()


async def test_what_is_no_file_can_not_be_read_again(tmp_path: Path) -> None:
    file = File(tmp_path)
    master = Master(Master.from_file(file.path).config)
    with pytest.raises(RuntimeError, match="the master is not running"):
        await master.reload()
    async with Master(Config.from_text(file.path.read_text(), folder=tmp_path)) as other:
        with pytest.raises(ConfigError) as caught:
            await other.reload()
    assert "this master's configuration is no file: it can't be read again" == str(caught.value)


def test_a_blocking_master_reloads(tmp_path: Path) -> None:
    file = File(tmp_path)
    with BlockingMaster.from_file(file.path) as master:
        del file.units["e"]
        file.write()
        assert Changes(removed=("e",)) == master.reload()


async def test_a_prewarmed_unit_has_the_new_ones_standing_by(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        it.file.write(a=("prewarm = 1",))
        await it.master.reload()
        await until(lambda: 1 == len(_stand_by(it)))
        (old,) = _stand_by(it)
        it.file.write(a=("prewarm = 1", 'env = {MODE = "new"}'))
        await it.master.reload()
        await until(lambda: 1 == len(found := _stand_by(it)) and old not in found)
        (standby,) = _stand_by(it)
        assert (standby, "new") == await it.ask("a")


def _stand_by(it: Reloading) -> list[int | None]:
    assert it.master._launchers is not None
    return [each.pid for each in it.master._launchers._standbys["a"]._ready]


async def test_who_waits_for_a_unit_that_is_removed_is_told(tmp_path: Path) -> None:
    async with reloading(tmp_path) as it:
        (tmp_path / "slow.py").write_text("import time\ntime.sleep(1000)\n")
        it.file.launch = 'app = "slow:App"'
        it.file.units = {"a": (), "b": ('stall = "100s"',)}
        it.file.write()
        await it.master.reload()
        waiting = asyncio.create_task(it.master.client(Kinds, unit="b").unary(Ask(), timeout=60))
        await until(lambda: 1 == it.master.status()["b"].waiters)
        del it.file.units["b"]
        it.file.write()
        await it.master.reload()
        with pytest.raises(RpcError) as caught:
            await waiting
    assert "unit 'b': it is no longer in hsu.toml" == caught.value.message


async def test_a_watch_ends_with_the_last_unit_that_it_was_asked_for(tmp_path: Path) -> None:
    async with (
        reloading(tmp_path) as it,
        Master.connect(str(it.master.address), token_file=it.master.token_file) as there,
    ):
        watches = [it.master.watch(("b", "c")), there.watch(("c",)), it.master.watch()]
        seen = [asyncio.create_task(anext(each, None)) for each in watches]
        await until(lambda: 3 == len(it.master._watchers))
        for name in ("b", "c"):
            assert not any(each.done() for each in seen)
            del it.file.units[name]
            it.file.write()
            await it.master.reload()
        assert [None, None] == [await each for each in seen[:2]]
        await it.ask("a")
        event = await seen[2]
        assert event is not None
        assert "a" == event.unit
        await watches[2].aclose()
