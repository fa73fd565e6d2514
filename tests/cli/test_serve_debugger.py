"""`breakpoint()` in a worker that somebody serves at a terminal."""

import asyncio
from pathlib import Path

import pytest

from hsu_worker.errors import Unavailable
from hsu_worker.gen.hsu_core import (
    STATE_RUNNING,
    STATE_STOPPED,
    Core,
    StartRequest,
    StopRequest,
)
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.terminal import Terminal, terminal
from tests.worker.process import connected, write_service

BREAK = """
async def unary(self, request):
    text = request.text
    breakpoint()
    return Answer(text=text)
def server_stream(self, request):
    number = request.number
    breakpoint()
    yield Answer(number=number)
"""

RELEASE = """
@lifespan
async def loaded(self):
    yield
    breakpoint()
"""
#: In a worker's module: it has two seconds on its way out instead of almost ten, and pdb's import takes
#: none of them.
HURRY = "import pdb\nfrom hsu_worker.worker import shutdown; shutdown.LAST_RESORT = 2.0\n"


async def stopped(it: Terminal, listen: str) -> "asyncio.Task[str]":
    """Make a call, and wait until its handler stands at the breakpoint."""

    async def call() -> str:
        async with connected(listen) as connection:
            return (await Kinds.client(connection).unary(Ask(text="hello"), timeout=60)).text

    calling = asyncio.create_task(call())
    await it.shows("(Pdb) ")
    return calling


@pytest.mark.parametrize("arguments", [[], ["--no-capture"], ["--reload"]])
async def test_a_handler_stops_there_and_goes_on(tmp_path: Path, arguments: list[str]) -> None:
    listen = f"unix:{tmp_path}/s"
    with terminal(
        tmp_path, "serve", write_service(tmp_path, BREAK), "--listen", listen, *arguments
    ) as it:
        await it.shows("serving ")
        call = await stopped(it, listen)
        it.type("p text\n")
        await it.shows("'hello'")
        it.type("text = 'changed'\n")
        it.type("continue\n")
        assert "changed" == await call
        it.type("\x03")
        # After `continue`, pdb itself takes the first one.
        await it.shows("(Pdb) ")
        it.type("continue\n")
        assert 0 == await it.exit_code(), it.shown


async def test_a_handler_in_a_thread_stops_there_too(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/s"
    with terminal(tmp_path, "serve", write_service(tmp_path, BREAK), "--listen", listen) as it:
        await it.shows("serving ")
        async with connected(listen) as connection:
            answers = Kinds.client(connection).server_stream(Ask(number=3), timeout=60)
            answer = asyncio.ensure_future(anext(answers))
            await it.shows("(Pdb) ")
            # All else goes on.
            assert "" == (await Kinds.client(connection).client_stream([], timeout=60)).text
            it.type("number = 4\n")
            it.type("continue\n")
            assert 4 == (await answer).number


@pytest.mark.parametrize("arguments", [[], ["--reload"]])
async def test_ctrl_c_twice_leaves_the_debugger_and_the_worker(
    tmp_path: Path, arguments: list[str]
) -> None:
    listen = f"unix:{tmp_path}/s"
    with terminal(
        tmp_path, "serve", write_service(tmp_path, BREAK), "--listen", listen, *arguments
    ) as it:
        await it.shows("serving ")
        call = await stopped(it, listen)
        assert not it.echoes()
        # Two that come at once are one.
        while it.process.poll() is None:
            it.type("\x03")
            await asyncio.sleep(0.1)
        assert 130 == it.process.returncode, it.shown
        # The debugger had switched that off.
        assert it.echoes()
        with pytest.raises(Unavailable):
            await call


async def test_whoever_sits_at_a_breakpoint_is_not_told_that_the_loop_is_blocked(
    tmp_path: Path,
) -> None:
    listen = f"unix:{tmp_path}/s"
    write_service(tmp_path, BREAK)
    with (tmp_path / "mysvc.py").open("a") as file:
        # Its import would take long enough by itself.
        file.write("import pdb\napp = App(Service(), blocked_loop=0.5)\n")
    with terminal(tmp_path, "serve", "mysvc:app", "--listen", listen) as it:
        await it.shows("serving ")
        call = await stopped(it, listen)
        it.type("import time; time.sleep(1.2)\n")
        await it.shows("(Pdb) ")
        assert "the event loop" not in it.shown
        it.type("continue\n")
        assert "hello" == await call


async def test_a_worker_that_leaves_waits_for_nobody_at_a_breakpoint(tmp_path: Path) -> None:
    target = write_service(tmp_path, RELEASE, before=HURRY)
    with terminal(tmp_path, "serve", target, "--listen", f"unix:{tmp_path}/s") as it:
        await it.shows("serving ")
        it.type("\x03")
        await it.shows("(Pdb) ")
        assert 1 == await it.exit_code(), it.shown


async def test_what_a_stop_releases_can_be_looked_at_for_longer(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/s"
    target = write_service(tmp_path, RELEASE, before=HURRY)
    with terminal(tmp_path, "serve", target, "--listen", listen) as it:
        await it.shows("serving ")
        async with connected(listen) as connection:
            core = Core.client(connection)
            stop = asyncio.create_task(core.stop(StopRequest(), timeout=60))
            await it.shows("(Pdb) ")
            it.type("time.sleep(2.5)\n")
            await it.shows("(Pdb) ")
            it.type("continue\n")
            assert STATE_STOPPED == (await stop).state
            last = [step async for step in core.start(StartRequest(), timeout=60)][-1]
            assert STATE_RUNNING == last.state
