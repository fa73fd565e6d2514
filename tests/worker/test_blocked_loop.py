"""What keeps the event loop from turning is named, with its line."""

import asyncio
import logging
import re
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hsu_worker import App, lifespan
from hsu_worker.errors import AppError
from hsu_worker.testing import running
from hsu_worker.worker import blocked_loop
from tests.gen.hsu_test_kinds import Answer, Ask, Kinds
from tests.serving.kinds import AsyncKinds, SyncKinds
from tests.worker.process import launched, write_service

#: Seconds; short, and yet some turns of a busy machine.
SOON = 0.2


class Told(logging.Handler):
    """The warnings, and two events for whoever blocks until they come."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.blocked = threading.Event()
        self.turns_again = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.blocked.set()
        if "turns again" in self.lines[-1]:
            self.turns_again.set()

    def block(self) -> None:
        """As a call of time.sleep does, until the warning has come."""
        assert self.blocked.wait(30)

    def line_of(self, text: str) -> str:
        """Where a line of this file is."""
        lines = Path(__file__).read_text().splitlines()
        [number] = [n for n, line in enumerate(lines, 1) if line.strip() == text]
        return f"{__file__}:{number} in "


@pytest.fixture
def told() -> Iterator[Told]:
    handler = Told()
    blocked_loop.log.addHandler(handler)
    yield handler
    blocked_loop.log.removeHandler(handler)


def seconds(line: str) -> str:
    """The line without its figure, and without the id of the call."""
    return re.sub(r"call [0-9a-f]+", "call ID", re.sub(r"\d+\.\d s", "N s", line))


async def test_a_handler_that_blocks_is_named_with_its_line(told: Told) -> None:
    class Blocking(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            told.block()  # here
            return Answer()

    async with running(App(Blocking(), blocked_loop=SOON)) as worker:
        await worker.client(Kinds).unary(Ask())
        async with asyncio.timeout(30):
            await told.turns_again.wait()

    first, second = told.lines
    place = told.line_of("told.block()  # here")
    assert seconds(first).startswith(
        "hsu.test.v1.Kinds/Unary (call ID) has kept the event loop from turning for at least N s, and "
        f"nothing else is answered: {place}"
    )
    assert ".Blocking.unary: told.block()  # here, which leads to " in first
    assert first.endswith("; make the handler a plain `def`, or run this in asyncio.to_thread")
    assert "the event loop turns again, after at least N s" == seconds(second)


async def test_it_is_told_once_however_long_it_takes(told: Told) -> None:
    class Blocking(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            told.block()
            # Several looks long.
            threading.Event().wait(4 * SOON)
            return Answer()

    async with running(App(Blocking(), blocked_loop=SOON)) as worker:
        await worker.client(Kinds).unary(Ask())
        async with asyncio.timeout(30):
            await told.turns_again.wait()

    assert 2 == len(told.lines)


async def test_a_stream_and_an_interceptors_callee_are_found_too(told: Told) -> None:
    class Blocking(AsyncKinds):
        async def server_stream(self, request: Ask) -> AsyncIterator[Answer]:
            yield Answer()
            told.block()

    async with running(App(Blocking(), blocked_loop=SOON)) as worker:
        [_] = [each async for each in worker.client(Kinds).server_stream(Ask())]

    assert told.lines[0].startswith("hsu.test.v1.Kinds/ServerStream (call ")
    assert ".Blocking.server_stream: told.block()" in told.lines[0]


async def test_a_lifespan_that_blocks_is_named(told: Told) -> None:
    class Blocking(AsyncKinds):
        @lifespan
        async def loaded(self) -> AsyncIterator[None]:
            told.block()
            yield

    async with running(App(Blocking(), blocked_loop=SOON)):
        pass

    assert told.lines[0].startswith("a lifespan has kept the event loop from turning for at least ")
    assert ".Blocking.loaded: told.block()" in told.lines[0]
    assert told.lines[0].endswith("; make it a plain generator, or run this in asyncio.to_thread")


async def test_a_task_and_a_callback_are_named_as_what_they_are(told: Told) -> None:
    async def work() -> None:
        told.block()

    async with running(App(AsyncKinds(), blocked_loop=SOON)):
        await asyncio.create_task(work())
        async with asyncio.timeout(30):
            await told.turns_again.wait()
        told.blocked.clear()
        told.turns_again.clear()
        asyncio.get_running_loop().call_soon(told.block)
        async with asyncio.timeout(30):
            await told.turns_again.wait()

    task, _, callback, _ = told.lines
    assert task.startswith("the task test_a_task_and_a_callback_are_named_as_what_they_are.<")
    assert callback.startswith("a callback has kept the event loop from turning")


async def test_threads_may_block_as_long_as_they_like(told: Told) -> None:
    class Waiting(SyncKinds):
        @lifespan
        def loaded(self) -> Iterator[None]:
            threading.Event().wait(3 * SOON)
            yield

        def unary(self, request: Ask) -> Answer:
            threading.Event().wait(3 * SOON)
            return Answer()

    async with running(App(Waiting(), blocked_loop=SOON)) as worker:
        await worker.client(Kinds).unary(Ask())

    assert [] == told.lines


async def test_nobody_looks_when_the_app_says_so(told: Told) -> None:
    async with running(App(AsyncKinds(), blocked_loop=None)):
        assert not any(each.name == "hsu-blocked-loop" for each in threading.enumerate())


async def test_several_workers_on_one_loop_are_watched_by_one_thread(told: Told) -> None:
    class Blocking(AsyncKinds):
        async def unary(self, request: Ask) -> Answer:
            told.block()
            return Answer()

    main, other = (App(each(), blocked_loop=SOON) for each in (AsyncKinds, Blocking))
    async with running(main, others=[other]), running(other) as worker:
        names = [each.name for each in threading.enumerate()]
        assert 1 == names.count("hsu-blocked-loop")
        await worker.client(Kinds).unary(Ask())
        async with asyncio.timeout(30):
            await told.turns_again.wait()

    assert told.lines[0].startswith("hsu.test.v1.Kinds/Unary (call ")
    assert 2 == len(told.lines)
    assert not any(each.name == "hsu-blocked-loop" for each in threading.enumerate())


def wake_ups(native_id: int) -> int:
    """How often a thread of this process has gone to sleep, and has been woken up again."""
    status = Path(f"/proc/self/task/{native_id}/status").read_text()
    return int(status.partition("voluntary_ctxt_switches:")[2].split()[0])


async def test_nothing_of_it_wakes_up_while_the_loop_sleeps() -> None:
    async with running(App(AsyncKinds(), blocked_loop=0.02)) as worker:
        await worker.client(Kinds).unary(Ask())
        [watch] = [each for each in threading.enumerate() if each.name == "hsu-blocked-loop"]
        threads = [int(watch.native_id or 0), threading.get_native_id()]
        before = sum(map(wake_ups, threads))
        # There is no event to wait for: nothing happens.
        await asyncio.sleep(2)
        after = sum(map(wake_ups, threads))

    # Some eight are measured, and some 300 with a timer and a thread that looks at it.
    assert after - before <= 60


async def test_native_code_that_begins_as_the_loop_wakes_up_is_told(told: Told) -> None:
    # It lets no thread run.
    begun = time.monotonic()
    sum(range(1_000_000))
    enough = int(1_000_000 * 5 * SOON / (time.monotonic() - begun))
    loop = asyncio.get_running_loop()

    def add(done: asyncio.Future[int]) -> None:
        done.set_result(sum(range(enough)))

    async with running(App(AsyncKinds(), blocked_loop=SOON)), asyncio.timeout(60):
        # On a machine that has no time for it nobody is accused.
        while not told.lines:
            added = loop.create_future()
            loop.call_later(3 * SOON, add, added)
            await added

    assert told.lines[0].startswith("a callback has kept the event loop from turning")


async def test_a_loop_of_another_make_is_asked_for_turns(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_loop, "selector_of", lambda _loop: None)
    async with running(App(AsyncKinds(), blocked_loop=SOON)):
        for _ in range(2):
            asyncio.get_running_loop().call_soon(told.block)
            async with asyncio.timeout(30):
                await told.turns_again.wait()
            told.blocked.clear()
            told.turns_again.clear()

    assert 4 == len(told.lines)


class Held:
    """A thread that names what it has seen while the loop turns again: native code had held it up."""

    def __init__(self) -> None:
        self.seen, self.turned = threading.Event(), threading.Event()

    def search(self, _file: str) -> None:
        self.seen.set()
        assert self.turned.wait(30)


async def test_what_was_seen_is_told_though_the_loop_turns_meanwhile(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    monkeypatch.setattr(blocked_loop, "_DEBUGGER", held)
    async with running(App(AsyncKinds(), blocked_loop=SOON)):
        asyncio.get_running_loop().call_soon(held.seen.wait, 30)
        # The turn that is held up, and the next one.
        for _ in range(3):
            await asyncio.sleep(0)
        held.turned.set()
        async with asyncio.timeout(30):
            await told.turns_again.wait()

    assert told.lines[0].startswith("a callback has kept the event loop from turning")


BACKTRACKS = """
async def unary(self, request):
    import re
    # Native code that lets no thread run, for about two seconds.
    began = time.monotonic()
    letters = 18
    while time.monotonic() - began < 2:
        letters += 1
        re.match('(a+)+$', 'a' * letters + 'b')
    return Answer()
"""


async def test_a_launched_worker_tells_it_on_stderr_and_of_native_code_too(tmp_path: Path) -> None:
    # The ring is read over the loop that is blocked.
    async with launched(tmp_path, write_service(tmp_path, BACKTRACKS)) as worker:
        await worker.start()
        assert worker.process.stderr
        telling = asyncio.create_task(worker.process.stderr.readline())
        # On a machine that has no time for it nobody is accused.
        while not telling.done():
            await worker.kinds.unary(Ask())
        worker.end_lifeline()
        assert 0 == await worker.exit_code()
        told = (await telling).decode()

    assert "hsu.test.v1.Kinds/Unary (call " in told
    assert "Service.unary: re.match('(a+)+$', 'a' * letters + 'b'), which leads to " in told


async def test_a_process_that_was_stopped_is_not_accused(tmp_path: Path) -> None:
    async with launched(tmp_path, write_service(tmp_path)) as worker:
        await worker.start()
        worker.process.send_signal(signal.SIGSTOP)
        # Longer than it may be blocked: there is no event to wait for.
        await asyncio.sleep(2.5)
        worker.process.send_signal(signal.SIGCONT)
        await worker.kinds.unary(Ask())
        worker.end_lifeline()
        assert 0 == await worker.exit_code()
        assert "" == await worker.errors()


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(AppError, match=r"^blocked_loop=0 won't do; write seconds, or None$"):
        App(AsyncKinds(), blocked_loop=0)
