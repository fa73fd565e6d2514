"""Units of true processes start when they are called, and stop when they are not."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hsu_worker.errors import StartError, Unauthenticated
from hsu_worker.master import BlockingMaster, Config, Event, Master
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import app, count_starts, processes_in, running, starts, text


async def test_200_first_calls_start_one_process(tmp_path: Path) -> None:
    toml = text(app(tmp_path, before=count_starts(tmp_path)))
    async with running(tmp_path, toml) as it:
        assert [] == processes_in(tmp_path)
        calls = (it.kinds.unary(Ask(text=str(n)), timeout=30) for n in range(200))
        answers = await asyncio.gather(*calls)

    assert [str(n) for n in range(200)] == [answer.text for answer in answers]
    assert 1 == len(starts(tmp_path))
    assert ["starting", "ready", "stopping", "stopped"] == [event.kind for event in it.told]
    assert [] == processes_in(tmp_path)


async def test_a_call_from_another_loop_is_refused_and_starts_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path))) as it:
        with pytest.raises(RuntimeError, match="this client belongs to another event loop"):
            await asyncio.to_thread(asyncio.run, it.kinds.unary(Ask(), timeout=20))
        assert "absent" == it.master.status()["u"].phase


async def test_an_idle_unit_stops_and_the_next_call_starts_it_again(tmp_path: Path) -> None:
    toml = text(app(tmp_path, before=count_starts(tmp_path)), 'idle = "100ms"')
    async with running(tmp_path, toml) as it:
        await it.kinds.unary(Ask(), timeout=20)
        stopping = await it.event("stopping")
        await it.event("stopped")
        assert [] == processes_in(tmp_path)
        assert "absent" == it.master.status()["u"].phase
        await it.kinds.unary(Ask(), timeout=20)
        assert 2 == it.master.status()["u"].generation

    assert "not called for 0.1 s" == stopping.detail
    assert 2 == len(set(starts(tmp_path)))


async def test_a_call_during_the_stop_is_answered_by_the_next_generation(tmp_path: Path) -> None:
    toml = text(app(tmp_path), 'idle = "100ms"')
    async with running(tmp_path, toml) as it:
        await it.kinds.unary(Ask(), timeout=20)
        await it.event("stopping")
        answer = await it.kinds.unary(Ask(text="again"), timeout=20)
        generations = [(event.kind, event.generation) for event in it.told]

    assert "again" == answer.text
    assert [
        ("starting", 1),
        ("ready", 1),
        ("stopping", 1),
        ("stopped", 1),
        ("starting", 2),
        ("ready", 2),
    ] == generations[:6]


async def test_a_stop_lets_the_running_call_end(tmp_path: Path) -> None:
    toml = text(app(tmp_path))
    async with running(tmp_path, toml) as it:
        go = asyncio.Event()

        async def requests() -> AsyncIterator[Ask]:
            yield Ask(text="first")
            await go.wait()
            yield Ask(text="last")

        answers = it.kinds.bidi(requests(), timeout=20)
        first = await anext(answers)
        stop = asyncio.create_task(it.master.stop("u"))
        await asyncio.sleep(0)
        assert "draining" == it.master.status()["u"].phase
        go.set()
        rest = [answer.text async for answer in answers]
        await asyncio.wait_for(stop, 20)

    assert ("first", ["last"]) == (first.text, rest)


def test_a_blocking_master_calls(tmp_path: Path) -> None:
    config = Config.from_text(text(app(tmp_path)), folder=tmp_path)
    with BlockingMaster(config) as master:
        client = master.client(Kinds)
        answer = client.unary(Ask(text="hello"), timeout=20)
        numbers = [each.number for each in client.server_stream(Ask(number=3), timeout=20)]
        status = master.status()["u"]

    assert ("hello", [0, 1, 2]) == (answer.text, numbers)
    assert ("ready", 1) == (status.phase, status.generation)
    assert [] == processes_in(tmp_path)


def _folders(parent: Path) -> list[Path]:
    return list(parent.glob("hsu-*"))


async def test_a_wrong_token_is_refused_in_a_private_folder(tmp_path: Path) -> None:
    toml = text(app(tmp_path), "[master]", f'runtime_dir = "{tmp_path}"')
    async with running(tmp_path, toml) as it:
        await it.master.start("u")
        (folder,) = _folders(tmp_path)
        mode = stat.S_IMODE(folder.stat().st_mode)
        (socket,) = folder.glob("u-*.sock")
        connection = Connection.open(Address.parse(f"unix:{socket}"), token="wrong")
        with pytest.raises(Unauthenticated):
            await Kinds.client(connection).unary(Ask(), timeout=10)
        await connection.close()

    assert 0o700 == mode
    assert [] == _folders(tmp_path)


def _environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def _command_lines() -> bytes:
    found = b""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
    return found


async def test_a_secret_of_the_environment_is_told_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secret = "planted-4711"
    launch = app(tmp_path, before="if not Path('ok').exists(): raise RuntimeError('not yet')")
    spawned = 'launcher = "spawn"'
    async with running(tmp_path, text(launch, spawned, env=f', API_KEY = "{secret}"')) as it:
        with pytest.raises(StartError) as caught:
            await it.kinds.unary(Ask(), timeout=20)
        (tmp_path / "ok").touch()
        await it.kinds.unary(Ask(), timeout=20)
        (pid,) = processes_in(tmp_path)
        environment = _environment(pid)
        told = f"{caught.value!r} {it.told} {it.master.log('u')} {it.master.status()} {caplog.text}"
        told += repr(it.master.config)
        commands = _command_lines()

    assert secret.encode() in environment
    assert secret not in told
    assert secret.encode() not in commands


async def test_a_watcher_that_raises_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "hsu.toml").write_text(text(app(tmp_path)))

    def watch(event: Event) -> None:
        raise ValueError(event.kind)

    async with Master.from_file(tmp_path / "hsu.toml", on_event=watch) as master:
        assert "hi" == (await master.client(Kinds).unary(Ask(text="hi"), timeout=30)).text
        await asyncio.wait_for(master.stop("u"), 30)


async def test_units_whose_names_begin_alike_run_side_by_side(tmp_path: Path) -> None:
    alike = "a-name-that-goes-on-for-more-than-"
    (tmp_path / "hsu.toml").write_text(
        "".join(
            text(app(tmp_path)).replace("[units.u]", f"[units.{alike}{end}]") + "\n"
            for end in ("one", "two")
        )
        + f'[routes]\n"{Kinds.name}" = "{alike}one"\n'
    )
    async with Master.from_file(tmp_path / "hsu.toml") as master:
        for end in ("one", "two"):
            client = master.client(Kinds, unit=alike + end)
            assert end == (await client.unary(Ask(text=end), timeout=30)).text
