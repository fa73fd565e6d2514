"""Faults of workers that run, with true processes: idle, busy, stuck, and without their keeper."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from hsu_worker.errors import DeadlineExceeded, RpcError
from hsu_worker.master import instance, liveness
from hsu_worker.master.liveness import Look
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask
from tests.master.kept import lose_keeper
from tests.master.running import Running, app, processes_in, running, text
from tests.until import until

#: Waits in a call until its file is there; answers with the process's pid.
HOLD = """async def unary(self, request):
    Path(f'held-{request.number}').touch()
    while request.number and not Path(f'go-{request.number}').exists():
        await asyncio.sleep(0.01)
    return Answer(number=os.getpid())
async def server_stream(self, request):
    yield Answer(number=1)
    while not Path('go').exists():
        await asyncio.sleep(0.01)
    yield Answer(number=2)"""

#: Sync calls wait in one of two threads, for a lock that nobody lets go or for a file.
#: One that waits must not look like one that works.
THREADS = """def unary(self, request):
    Path(f'held-{request.number}').touch()
    if request.text == 'deadlock':
        LOCK.acquire()
    while request.number and not Path('go').exists():
        time.sleep(0.1)
    return Answer(number=os.getpid())"""


def threaded(folder: Path, *more: str) -> str:
    """An `hsu.toml` of a service with two threads, and a lock that is taken."""
    app(folder, THREADS, before="LOCK = threading.Lock(); LOCK.acquire()")
    with (folder / "mysvc.py").open("a") as module:
        module.write("\nAPP = App(Service(), limits=Limits(threads=2))\n")
    return text('app = "mysvc:APP"', *more)


@asynccontextmanager
async def watched(connection: Connection, name: str) -> AsyncGenerator[None, None]:
    """A health watch that stays open."""
    call = connection.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )(HealthCheckRequest(service=name), metadata=connection.metadata)
    first = await call.read()
    assert isinstance(first, HealthCheckResponse)
    assert HealthCheckResponse.SERVING == first.status
    try:
        yield
    finally:
        call.cancel()


def looks_of(monkeypatch: pytest.MonkeyPatch) -> list[Look]:
    """What the Pings of all workers show, as they come."""
    looks: list[Look] = []
    ping = instance.Instance._ping

    async def noted(self: instance.Instance) -> Look:
        looks.append(await ping(self))
        return looks[-1]

    monkeypatch.setattr(instance.Instance, "_ping", noted)
    return looks


async def pid_of(it: Running) -> int:
    return (await it.kinds.unary(Ask(), timeout=30)).number


async def test_t7_the_idle_time_begins_when_the_last_of_two_calls_ends(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, HOLD), 'idle = "300ms"')) as it:
        first, second = (
            asyncio.create_task(it.kinds.unary(Ask(number=number), timeout=30)) for number in (1, 2)
        )
        await until(lambda: len(list(tmp_path.glob("held-*"))) == 2)
        (tmp_path / "go-1").touch()
        await first
        # Nothing tells that no stop comes; twice the idle time.
        await asyncio.sleep(0.6)
        assert "ready" == it.master.status()["u"].phase
        began = asyncio.get_running_loop().time()
        (tmp_path / "go-2").touch()
        assert (await first).number == (await second).number
        await it.event("stopping")
        took = asyncio.get_running_loop().time() - began

    assert took >= 0.3


async def test_t8_a_stream_holds_its_worker(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, HOLD), 'idle = "100ms"')) as it:
        answers = it.kinds.server_stream(Ask(), timeout=30)
        assert 1 == (await anext(answers)).number
        # Nothing tells that no stop comes; five times the idle time.
        await asyncio.sleep(0.5)
        (tmp_path / "go").touch()
        assert [2] == [answer.number async for answer in answers]
        await it.event("stopped")

    assert ["starting", "ready", "stopping", "stopped"] == [event.kind for event in it.told]


async def test_t8_whoever_only_looks_holds_nothing(tmp_path: Path) -> None:
    toml = text(app(tmp_path, HOLD), 'idle = "300ms"', 'ping = "20ms"')
    async with running(tmp_path, toml) as it:
        await it.master.start("u")
        worker = it.master._units["u"].worker
        assert worker is not None
        assert worker.connection is not None
        assert it.master.address is not None
        follower = it.master.follow_log("u", tail=1)
        reading = asyncio.create_task(_drained(follower))
        gateway = Connection.open(it.master.address)
        async with watched(worker.connection, "live"), watched(gateway, "hsu.test.v1.Kinds"):
            stopping = await it.event("stopping")
            await it.event("stopped")
            assert [] == processes_in(tmp_path)
            # A watch at the gateway goes on: a call would start the unit again.
            assert not reading.done()
        await gateway.close()
    await reading

    assert ("idle", "not called for 0.3 s") == (stopping.trigger, stopping.detail)


async def _drained(follower: AsyncGenerator[object, None]) -> None:
    async for _ in follower:
        pass


async def test_t17_a_worker_that_is_stopped_is_killed_and_its_queue_served(tmp_path: Path) -> None:
    toml = text(
        app(tmp_path, HOLD),
        "concurrency = 1",
        'ping = "50ms"',
        'ping_timeout = "200ms"',
        'drain = "1s"',
        'grace = "1s"',
    )
    async with running(tmp_path, toml) as it:
        first = await pid_of(it)
        held = asyncio.create_task(it.kinds.unary(Ask(number=1), timeout=30))
        await until((tmp_path / "held-1").exists)
        queued = [asyncio.create_task(pid_of(it)) for _ in range(5)]
        await until(lambda: it.master.status()["u"].waiters == 5)
        os.kill(first, signal.SIGSTOP)
        (second,) = set(await asyncio.gather(*queued))
        with pytest.raises(RpcError, match="UNAVAILABLE"):
            await held
        unresponsive = next(event for event in it.told if event.kind == "unresponsive")
        assert [second] == processes_in(tmp_path)

    assert first != second
    assert "liveness" == unresponsive.trigger


async def test_t18_a_deadlock_under_calls_with_deadlines_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a minute would be long here.
    monkeypatch.setattr(liveness, "OVERDUE", 0.3)
    toml = threaded(tmp_path, 'ping = "50ms"', 'ping_timeout = "1s"')
    async with running(tmp_path, toml) as it:
        first = await pid_of(it)
        calls = [
            asyncio.create_task(it.kinds.unary(Ask(text="deadlock", number=number), timeout=1))
            for number in (1, 2)
        ]
        for call in calls:
            with pytest.raises(DeadlineExceeded):
                await call
        unresponsive = await it.event("unresponsive")
        second = await pid_of(it)
        assert [second] == processes_in(tmp_path)

    assert first != second
    assert "liveness" == unresponsive.trigger
    assert unresponsive.detail.startswith("a call has outlived its deadline or its caller by ")


async def test_t46_a_worker_full_of_legitimate_calls_is_never_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "OVERDUE", 0.3)
    looks = looks_of(monkeypatch)
    async with running(tmp_path, threaded(tmp_path, 'ping = "5ms"')) as it:
        first = await pid_of(it)
        calls = [
            asyncio.create_task(it.kinds.unary(Ask(number=number), timeout=30))
            for number in (1, 2, 3)
        ]
        # The third one waits for a thread.
        await until(lambda: sum(look.busy for look in looks) >= 100 or it.told[2:])
        assert ["starting", "ready"] == [event.kind for event in it.told]
        (tmp_path / "go").touch()
        assert {first} == {(await call).number for call in calls}
        assert ["starting", "ready"] == [event.kind for event in it.told]

    assert {True} == {look.answered for look in looks}


async def test_t46_a_handler_that_blocks_the_loop_with_work_is_named_and_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = looks_of(monkeypatch)
    body = (
        "async def unary(self, request):\n    while request.number and not Path('go').exists():\n"
        "        pass\n    return Answer(number=os.getpid())"
    )
    toml = text(app(tmp_path, body), 'ping = "50ms"', 'ping_timeout = "400ms"')
    async with running(tmp_path, toml) as it:
        first = await pid_of(it)
        call = asyncio.create_task(it.kinds.unary(Ask(number=1), timeout=30))
        # Three misses would be the end of one that does nothing.
        await until(lambda: sum(not look.answered for look in looks) >= 5 or it.told[2:])
        assert ["starting", "ready"] == [event.kind for event in it.told]
        (tmp_path / "go").touch()
        assert first == (await call).number
        assert first == await pid_of(it)
        assert ["starting", "ready"] == [event.kind for event in it.told]

    assert "unit u (generation 1): it does not answer a Ping, but uses CPU" in caplog.messages


async def test_t48_without_its_keeper_a_worker_goes_on_and_its_exit_is_unknown(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, text(app(tmp_path, HOLD))) as it:
        first = await pid_of(it)
        held = asyncio.create_task(it.kinds.unary(Ask(number=1), timeout=30))
        await until((tmp_path / "held-1").exists)
        await lose_keeper()
        assert first == await pid_of(it)
        (tmp_path / "go-1").touch()
        assert first == (await held).number
        os.kill(first, signal.SIGKILL)
        exited = await it.event("exited")
        second = await pid_of(it)
        await it.master.stop("u")
        assert [] == processes_in(tmp_path)

    assert first != second
    assert "exit code unknown" == exited.detail
    assert exited.crash is not None
    assert (None, None) == (exited.crash.code, exited.crash.signal)


FLUSHES = """import atexit
@atexit.register
def flush():
    time.sleep(2.0)
    Path('flushed').touch()"""


async def test_a_worker_that_is_told_to_leave_by_somebody_else_may_finish_what_it_is_at(
    tmp_path: Path,
) -> None:
    """It answers nobody any more, and its connection is closed: no reason to kill it."""
    async with running(tmp_path, text(app(tmp_path, before=FLUSHES))) as it:
        await it.kinds.unary(Ask(), timeout=30)
        (worker,) = processes_in(tmp_path)
        os.kill(worker, signal.SIGTERM)
        # Calls meanwhile are the next one's.
        while (await it.kinds.unary(Ask(text="x"), timeout=30)).text == "x":
            if it.master.status()["u"].generation == 2:
                break
        assert (tmp_path / "flushed").exists()
        kinds = [event.kind for event in it.told]
        assert "unresponsive" not in kinds
        assert "" == it.master.status()["u"].failure
