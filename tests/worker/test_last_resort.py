"""What hangs on the way out: the process ends in time, and shows where it hung."""

import asyncio
import faulthandler
import math
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import pytest

from hsu_worker import Unavailable
from hsu_worker.gen.hsu_core import ShutdownRequest
from hsu_worker.worker import last_resort
from tests.gen.hsu_test_kinds import Ask
from tests.until import until
from tests.worker.plugin.host import hosted
from tests.worker.process import launched, serving, write_service

TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]

#: In a worker's module: it has a second instead of almost ten.
HURRY = "from hsu_worker.worker import shutdown; shutdown.LAST_RESORT = 1.0\n"
#: And so long after SIGTERM, instead of forty.
HURRY_SIGTERM = (
    "from hsu_worker.worker import launched, serve\n"
    "from hsu_worker.worker.plugin import run\n"
    "for each in launched, serve, run: each.DEFAULT_GRACE, each.LAST_RESORT = 0.5, 0.5\n"
)
#: What then never ends, and lets no handler of Python's run: a lock of C's that this thread has itself.
LOCKED = """
import ctypes, re
libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
libc.pthread_mutex_lock(lock)
"""
NATIVE = "libc.pthread_mutex_lock(lock)"

AT_EXIT = """
import atexit, re
@atexit.register
def hang():
    {hangs}
"""


async def test_a_lifespan_that_blocks_the_loop_while_it_is_left(tmp_path: Path) -> None:
    target = write_service(
        tmp_path, "@lifespan\nasync def one(self):\n    yield\n    time.sleep(60)", before=HURRY
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        code = await worker.sigterm()
        errors = await worker.errors()

    assert code == 1
    assert "in one\n" in errors


@pytest.mark.parametrize(
    "hangs",
    ["time.sleep(60)", "re.match('(a+)+$', 'a' * 60 + 'b')"],
    ids=["waits", "holds the GIL"],
)
async def test_an_atexit_function_that_does_not_end(tmp_path: Path, hangs: str) -> None:
    target = write_service(tmp_path, before=HURRY + AT_EXIT.format(hangs=hangs))
    async with launched(tmp_path, target) as worker:
        await worker.start()
        code = await worker.sigterm()
        errors = await worker.errors()

    assert code == 1
    assert "in hang\n" in errors
    assert "in end_process\n" in errors


async def test_a_call_that_blocks_the_loop_for_longer_than_its_grace(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n"
        "    while not Path('go').exists():\n"
        "        await asyncio.sleep(0.01)\n"
        "    Path('went').touch()\n"
        "    time.sleep(60)\n",
        before=HURRY,
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        busy = asyncio.create_task(worker.kinds.unary(Ask()))
        await worker.in_flight(1)
        request = ShutdownRequest()
        request.grace.FromMilliseconds(1000)
        await worker.core.shutdown(request)
        (tmp_path / "go").touch()
        await until((tmp_path / "went").exists)
        code = await worker.exit_code()
        errors = await worker.errors()
        with pytest.raises(Unavailable):
            await busy

    assert code == 1
    assert "in unary\n" in errors


@pytest.mark.parametrize(
    "blocks",
    ["while True: pass", "time.sleep(60)", "re.match('(a+)+$', 'a' * 60 + 'b')", NATIVE],
    ids=["computes", "waits", "holds the GIL", "native"],
)
async def test_sigterm_while_a_call_blocks_the_loop_for_ever(tmp_path: Path, blocks: str) -> None:
    target = write_service(
        tmp_path,
        f"async def unary(self, request):\n    Path('entered').touch()\n    {blocks}",
        before=HURRY_SIGTERM + LOCKED,
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        busy = asyncio.create_task(worker.kinds.unary(Ask()))
        await until((tmp_path / "entered").exists)
        code = await worker.sigterm()
        errors = await worker.errors()
        with pytest.raises(Unavailable):
            await busy

    assert code == 1
    assert "in unary\n" in errors


async def test_sigterm_while_a_start_blocks_the_loop_for_ever(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        f"@lifespan\nasync def one(self):\n    Path('entered').touch()\n    {NATIVE}\n    yield\n",
        before=HURRY_SIGTERM + LOCKED,
    )
    async with serving(tmp_path, target, "--listen", f"unix:{tmp_path}/s") as process:
        await until((tmp_path / "entered").exists)
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 20)
        assert process.stderr
        errors = (await process.stderr.read()).decode()

    assert code == 1
    assert "in one\n" in errors


#: In the service's class: takes a signal as asyncio does it, and so the place where SIGTERM is seen.
HANDLES = """
@lifespan
async def one(self):
    signals = asyncio.Queue()
    asyncio.get_running_loop().add_signal_handler(10, signals.put_nowait, 10)
    os.kill(os.getpid(), 10)
    await signals.get()
    yield
"""


async def test_a_handler_of_the_users_own_for_a_signal_takes_nothing_away(tmp_path: Path) -> None:
    async with launched(tmp_path, write_service(tmp_path, HANDLES)) as worker:
        await worker.start()

        assert await worker.sigterm() == 0


async def test_a_handler_of_the_users_own_leaves_the_bound_for_what_python_waits_for(
    tmp_path: Path,
) -> None:
    target = write_service(
        tmp_path,
        f"{HANDLES}\n"
        "async def unary(self, request):\n    Path('entered').touch()\n    time.sleep(60)",
        before=HURRY_SIGTERM,
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()
        busy = asyncio.create_task(worker.kinds.unary(Ask()))
        await until((tmp_path / "entered").exists)
        code = await worker.sigterm()
        with pytest.raises(Unavailable):
            await busy

    assert code == 1


async def test_sigterm_while_a_call_blocks_the_loop_of_a_plugin_for_ever(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        f"async def unary(self, request):\n    Path('entered').touch()\n    {NATIVE}",
        before=HURRY_SIGTERM + LOCKED,
    )
    async with hosted(tmp_path, target) as plugin:
        busy = asyncio.create_task(plugin.kinds.unary(Ask()))
        await until((tmp_path / "entered").exists)
        plugin.process.send_signal(signal.SIGTERM)
        code = await plugin.exit_code()
        with pytest.raises(Unavailable):
            await busy

    assert code == 1
    assert b"in unary\n" in plugin.errors


@pytest.mark.parametrize("sooner", [0, 1], ids=["the signal's is sooner", "the signal's is later"])
def test_a_signal_may_come_anywhere_while_the_end_is_set(
    monkeypatch: pytest.MonkeyPatch, sooner: int
) -> None:
    set_to: list[float] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda at, **_: set_to.append(at))
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)

    def came_at(instruction: int) -> bool:
        """Have it come before that instruction of the function; whether there is one."""
        left = instruction

        def trace(frame: FrameType, event: str, _: object) -> "TraceFunction | None":
            nonlocal left
            if frame.f_code is not last_resort.end_within.__code__:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                left -= 1
                if left == -1:
                    sys.settrace(None)
                    last_resort.end_within(5 + 5 * sooner)
            return trace

        monkeypatch.setattr(last_resort, "_asked", [])
        monkeypatch.setattr(last_resort, "_ends_at", math.inf)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            last_resort.end_within(10 - 5 * sooner)
        finally:
            sys.settrace(before)
        return left < 0

    instruction = 0
    while came_at(instruction):
        assert 5 == set_to[-1], f"before instruction {instruction}"
        instruction += 1
    assert instruction > 20


async def test_descriptors_that_somebody_holds_keep_no_worker_from_leaving(tmp_path: Path) -> None:
    # As a child does that the service has forked.
    target = write_service(
        tmp_path,
        "@lifespan\nasync def one(self):\n"
        "    from contextlib import suppress\n"
        "    for descriptor in range(3, 100):\n"
        "        with suppress(OSError):\n"
        "            os.dup(descriptor)\n"
        "    yield\n",
    )
    async with launched(tmp_path, target) as worker:
        await worker.start()

        assert await worker.sigterm() == 0


async def test_a_call_may_take_its_grace_however_long_that_is(tmp_path: Path) -> None:
    async with launched(tmp_path, write_service(tmp_path, before=HURRY)) as worker:
        await worker.start()
        request = ShutdownRequest()
        request.grace.seconds = 315_576_000_000
        await worker.core.shutdown(request)

        assert await worker.exit_code() == 0
