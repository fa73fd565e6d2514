"""Faults of starts, with true processes: slow ones, broken ones, and strangers at the address."""

import asyncio
import json
import re
import socket
import sys
from pathlib import Path

import grpc.aio
import pytest

from hsu_worker.errors import Dispatch, RpcError, StartError
from tests.gen.hsu_test_kinds import Ask
from tests.master.kept import keeper_pid
from tests.master.running import app, processes_in, running, starts, text
from tests.master.test_keeper_limits import descriptors, first_free
from tests.until import until
from tests.worker.process import serving, write_service

#: A launched worker that listens at a port of its own choice.
FIXED = """
import os, runpy, sys
open("starts", "a").write(f"{os.getpid()}\\n")
os.environ["HSU_LISTEN"] = "tcp:127.0.0.1:" + sys.argv.pop()
sys.argv[1:] = ["mysvc:Service"]
runpy.run_module("hsu_worker.worker", run_name="__main__", alter_sys=True)
"""

#: A program that announces an address at which somebody else answers.
POINTS_AT = """
import os, sys, time
line = f"HSU 1 {os.environ['HSU_INSTANCE']} {sys.argv[1]}\\n"
os.write(int(os.environ["HSU_ANNOUNCE_FD"]), line.encode())
time.sleep(1000)
"""


def command(folder: Path, code: str, *arguments: str) -> str:
    """Write a program; returns the line that launches it."""
    (folder / "program.py").write_text(code)
    return f"command = {json.dumps([sys.executable, 'program.py', *arguments])}"


def units(**launches: str) -> str:
    """An `hsu.toml` with several units, and a route to the first."""
    tables = [
        text(launch).replace("[units.u]", f"[units.{name}]") for name, launch in launches.items()
    ]
    first = next(iter(launches))
    return "\n".join([*tables, "[routes]", f'"hsu.test.v1.Kinds" = "{first}"'])


async def test_t9_a_start_that_takes_longer_than_the_idle_time_serves_and_idles(
    tmp_path: Path,
) -> None:
    wait = "while not Path('go').exists(): time.sleep(0.01)"
    async with running(tmp_path, text(app(tmp_path, before=wait), 'idle = "100ms"')) as it:
        call = asyncio.create_task(it.kinds.unary(Ask(text="hi"), timeout=30))
        await it.event("starting")
        # Nothing tells that no stop comes; three times the idle time.
        await asyncio.sleep(0.3)
        (tmp_path / "go").touch()
        assert "hi" == (await call).text
        await it.event("stopped")

    assert ["starting", "ready", "stopping", "stopped"] == [event.kind for event in it.told]
    assert "idle" == it.told[2].trigger


async def test_t10_all_who_wait_learn_at_once_that_the_process_has_ended(tmp_path: Path) -> None:
    code = "open('starts', 'a').write('1\\n')\nprint('no licence')\nraise SystemExit(1)"
    loop = asyncio.get_running_loop()
    async with running(tmp_path, text(command(tmp_path, code), 'stall = "20s"')) as it:
        began = loop.time()
        calls = [it.kinds.unary(Ask(), timeout=30) for _ in range(10)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        took = loop.time() - began
        await it.event("failed")

    assert {StartError} == {type(error) for error in errors}
    (message,) = {str(error) for error in errors}
    assert message.endswith("exit code 1; its last output:\n    no licence")
    # 0.1 s were measured; the probe loop of one that doesn't look would take the 20 s of `stall`.
    assert took < 10
    assert 1 == len(starts(tmp_path))


async def test_t11_a_start_that_stands_still_is_given_up(tmp_path: Path) -> None:
    body = (
        "@lifespan\nasync def model(self):\n    report_progress(0.5, 'half')\n"
        "    await asyncio.sleep(1000)\n    yield"
    )
    async with running(tmp_path, text(app(tmp_path, body), 'stall = "1500ms"')) as it:
        with pytest.raises(StartError) as caught:
            await it.kinds.unary(Ask(), timeout=30)
        await it.event("failed")
        assert [] == processes_in(tmp_path)

    assert caught.value.message.startswith(
        "unit 'u' did not start: start timeout: no progress of its start for 1.5 s; "
    )


async def test_t12_a_slow_start_that_shows_progress_may_take_longer_than_the_stall_budget(
    tmp_path: Path,
) -> None:
    body = (
        "@lifespan\nasync def model(self):\n    for part in range(1, 9):\n"
        "        await asyncio.sleep(0.3)\n        report_progress(part / 8, f'part {part}')\n"
        "    yield"
    )
    loop = asyncio.get_running_loop()
    async with running(tmp_path, text(app(tmp_path, body), 'stall = "1500ms"')) as it:
        began = loop.time()
        assert 1 == await it.master.start("u")
        took = loop.time() - began
        progress = [event.detail for event in it.told if event.kind == "progress"]

    assert took > 8 * 0.3
    # The last one may come with the end of the start.
    assert [f"part {part}" for part in range(1, 8)] == progress[:7]


async def test_t13_what_can_not_be_executed_is_one_error_per_call_and_starts_nothing_twice(
    tmp_path: Path,
) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\n")
    toml = units(
        u=app(tmp_path), missing='command = ["./nowhere"]', locked='command = ["./program"]'
    )
    toml = toml.replace("[units.missing]", '[units.missing]\nbackoff = "0s"')
    async with running(tmp_path, toml) as it:
        for _ in range(3):
            with pytest.raises(StartError, match="nowhere' does not exist: correct the path"):
                await it.master.start("missing")
        with pytest.raises(StartError, match="program' is not executable: run `chmod"):
            await it.master.start("locked")
        assert "hi" == (await it.kinds.unary(Ask(text="hi"), timeout=30)).text
        counted = [event.unit for event in it.told if event.kind == "starting"]

    assert ["missing"] * 3 + ["locked", "u"] == counted


async def test_t34_of_two_workers_told_the_same_port_the_second_fails_loudly(
    tmp_path: Path,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    write_service(
        tmp_path, "async def unary(self, request):\n    return Answer(number=os.getpid())"
    )
    launch = command(tmp_path, FIXED, str(port)) + '\nlisten = "tcp"'
    async with running(tmp_path, units(u=launch, second=launch)) as it:
        first = (await it.kinds.unary(Ask(), timeout=30)).number
        with pytest.raises(StartError) as caught:
            await it.master.start("second")
        answers = await asyncio.gather(*(it.kinds.unary(Ask(), timeout=30) for _ in range(20)))
        assert "ready" == it.master.status()["u"].phase

    assert f"tcp:127.0.0.1:{port}" in caught.value.message
    assert " ended before it announced itself: exit code 3; " in caught.value.message
    # Never shared: the first process has answered each call.
    assert [first, {first}] == [starts(tmp_path)[0], {answer.number for answer in answers}]


async def test_t34_a_port_that_a_stranger_holds_is_no_address(tmp_path: Path) -> None:
    write_service(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        toml = text(command(tmp_path, FIXED, str(port)) + '\nlisten = "tcp"')
        async with running(tmp_path, toml) as it:
            with pytest.raises(StartError, match="ended before it announced itself: exit code 3; "):
                await it.kinds.unary(Ask(), timeout=30)
        stranger.settimeout(0)
        with pytest.raises(BlockingIOError):
            stranger.accept()


async def test_t35_a_stranger_that_answers_for_the_worker_is_rejected(tmp_path: Path) -> None:
    async with serving(tmp_path, write_service(tmp_path)) as stranger:
        assert stranger.stdout
        line = (await asyncio.wait_for(stranger.stdout.readline(), 20)).decode()
        found = re.search(r"tcp:127\.0\.0\.1:\d+", line)
        assert found, line
        toml = text(command(tmp_path, POINTS_AT, found[0]) + '\nlisten = "tcp"')
        async with running(tmp_path, toml) as it:
            with pytest.raises(StartError) as caught:
                await it.kinds.unary(Ask(), timeout=30)
            await it.event("failed")
            # The stranger alone is left.
            assert [stranger.pid] == processes_in(tmp_path)
        assert stranger.returncode is None

    assert re.search(
        r"the worker is not the one that was asked for: it is instance '[0-9a-f]{32}', not '",
        caught.value.message,
    )
    assert Dispatch.NO is caught.value.dispatched


async def test_t35_a_server_that_knows_no_core_is_rejected(tmp_path: Path) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    toml = text(command(tmp_path, POINTS_AT, f"tcp:127.0.0.1:{port}") + '\nlisten = "tcp"')
    async with running(tmp_path, toml) as it:
        with pytest.raises(StartError, match="UNIMPLEMENTED"):
            await it.kinds.unary(Ask(), timeout=30)
    await server.stop(None)


async def test_t44_a_limit_at_the_start_is_told_and_passes(tmp_path: Path) -> None:
    toml = text(app(tmp_path), 'restart = "on-failure"', 'backoff = "100ms"', "breaker = 1000")
    async with running(tmp_path, toml) as it:
        await it.master.start("u")
        await it.master.stop("u")
        owner = keeper_pid()
        with descriptors(owner, first_free(owner)):
            with pytest.raises(RpcError) as caught:
                await it.kinds.unary(Ask(), timeout=30)
            # It is tried again, with a pause in between.
            await it.event("backoff")
        await it.event("ready")
        assert "hi" == (await it.kinds.unary(Ask(text="hi"), timeout=30)).text
        await until(lambda: len(processes_in(tmp_path)) == 1)

    assert "could not be started: the keeper has no free file descriptors" in str(caught.value)
    assert Dispatch.NO is caught.value.dispatched
