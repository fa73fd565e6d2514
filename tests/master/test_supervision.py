"""What follows when true workers crash, hang, or are told to go."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from hsu_worker.errors import Dispatch, RpcError, StartError, Unavailable
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, count_starts, processes_in, running, starts, text
from tests.until import until

#: Waits in a call until it is killed, or the file `go` is there.
HOLD = """async def unary(self, request):
    if request.text == 'hold':
        Path(f'held-{request.number}').touch()
        while not Path('go').exists():
            await asyncio.sleep(0.01)
    return Answer(text=str(os.getpid()))"""


async def _outcome(it: Running, ask: Ask) -> str:
    try:
        return (await it.kinds.unary(ask, timeout=30)).text
    except RpcError as error:
        return f"{error.code.name} {error.dispatched}"


async def test_a_killed_worker_ends_its_calls_and_loses_none_that_waited(tmp_path: Path) -> None:
    toml = text(app(tmp_path, HOLD), "concurrency = 50")
    async with running(tmp_path, toml) as it:
        held = [
            asyncio.create_task(_outcome(it, Ask(text="hold", number=number)))
            for number in range(50)
        ]
        await until(lambda: len(list(tmp_path.glob("held-*"))) == 50)
        queued = [asyncio.create_task(_outcome(it, Ask())) for _ in range(20)]
        await until(lambda: it.master.status()["u"].waiters == 20)
        (first,) = processes_in(tmp_path)
        os.kill(first, signal.SIGKILL)
        lost = await asyncio.gather(*held)
        served = await asyncio.gather(*queued)
        (second,) = processes_in(tmp_path)
        exited = next(event for event in it.told if event.kind == "exited")

    assert {"UNAVAILABLE unknown"} == set(lost)
    assert {str(second)} == set(served)
    assert ("exit", "killed by SIGKILL") == (exited.trigger, exited.detail)
    assert exited.crash is not None
    assert (50, signal.SIGKILL, None) == (
        exited.crash.calls,
        exited.crash.signal,
        exited.crash.code,
    )
    assert exited.crash.peak_memory > 1 << 20
    assert exited.crash.uptime > 0


async def test_whoever_calls_a_dead_worker_is_told_the_truth(tmp_path: Path) -> None:
    """Nobody can know of a call in the instant of a crash; the next one is served in any case."""
    toml = text(app(tmp_path), "breaker = 100", 'backoff_most = "10ms"')
    async with running(tmp_path, toml) as it:
        for _ in range(10):
            await it.kinds.unary(Ask(), timeout=30)
            (worker,) = processes_in(tmp_path)
            os.kill(worker, signal.SIGKILL)
            assert await _outcome(it, Ask(text="now")) in ("now", "UNAVAILABLE unknown")
            assert "then" == (await it.kinds.unary(Ask(text="then"), timeout=30)).text


async def test_a_stopped_worker_is_killed_and_the_queue_served(tmp_path: Path) -> None:
    toml = text(app(tmp_path, HOLD), 'ping = "50ms"', 'ping_timeout = "200ms"')
    async with running(tmp_path, toml) as it:
        await it.kinds.unary(Ask(), timeout=30)
        (worker,) = processes_in(tmp_path)
        os.kill(worker, signal.SIGSTOP)
        call = asyncio.create_task(_outcome(it, Ask()))
        unresponsive = await it.event("unresponsive")
        assert "UNAVAILABLE unknown" == await call
        answer = await it.kinds.unary(Ask(), timeout=30)
        assert answer.text != str(worker)

    assert "liveness" == unresponsive.trigger
    assert unresponsive.detail.startswith("it does not answer a Ping, 3 times in a row, for ")


async def test_an_always_unit_comes_back_by_itself(tmp_path: Path) -> None:
    launch = app(tmp_path, before=count_starts(tmp_path))
    async with running(tmp_path, text(launch, 'restart = "always"', "preload = true")) as it:
        ready = await it.event("ready")
        (worker,) = processes_in(tmp_path)
        os.kill(worker, signal.SIGTERM)
        again = await it.event("ready")

    assert (1, 2) == (ready.generation, again.generation)
    assert 2 == len(starts(tmp_path))
    assert ["preload", "restart"] == [
        event.trigger for event in it.told if event.kind == "starting"
    ]


async def test_a_crash_loop_opens_the_breaker_and_a_repair_closes_it(tmp_path: Path) -> None:
    broken = f"{count_starts(tmp_path)}\nif not Path('mended').exists(): os._exit(3)"
    toml = text(
        app(tmp_path, before=broken),
        'restart = "always"',
        'backoff = "20ms"',
        "breaker = 4",
        'breaker_retry = "300ms"',
    )
    async with running(tmp_path, toml) as it:
        with pytest.raises(StartError, match="exit code 3"):
            await it.kinds.unary(Ask(), timeout=30)
        faulted = await it.event("faulted")
        with pytest.raises(Unavailable) as caught:
            await it.kinds.unary(Ask(), timeout=30)
        assert 4 == len(starts(tmp_path))
        (tmp_path / "mended").touch()
        await it.event("ready")
        assert "hi" == (await it.kinds.unary(Ask(text="hi"), timeout=30)).text
        assert 5 == len(starts(tmp_path))

    assert "breaker" == faulted.trigger
    assert faulted.detail.startswith("it failed 4 times within ")
    assert Dispatch.NO is caught.value.dispatched
    assert caught.value.message.startswith("unit 'u': it failed 4 times within ")


async def test_a_stop_during_a_crash_loop_is_the_end_of_it(tmp_path: Path) -> None:
    broken = f"{count_starts(tmp_path)}\nos._exit(3)"
    toml = text(app(tmp_path, before=broken), 'restart = "always"', 'backoff = "10s"')
    async with running(tmp_path, toml) as it:
        for _ in range(2):
            with pytest.raises(StartError):
                await it.master.start("u")
        await it.event("failed")
        await it.master.stop("u")
        stopped = len(starts(tmp_path))
        assert "absent" == it.master.status()["u"].phase
        with pytest.raises(StartError):
            await it.master.start("u")
        assert stopped + 1 == len(starts(tmp_path))


async def test_a_held_unit_refuses_calls_until_it_is_started(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path))) as it:
        await it.kinds.unary(Ask(), timeout=30)
        await it.master.stop("u", hold=True)
        assert "held" == it.master.status()["u"].phase
        with pytest.raises(Unavailable) as caught:
            await it.kinds.unary(Ask(), timeout=30)
        assert 2 == await it.master.start("u")
        assert "hi" == (await it.kinds.unary(Ask(text="hi"), timeout=30)).text

    expected = "unit 'u' is held: somebody stopped it; `hsu-worker start u`"
    assert (expected, Dispatch.NO) == (caught.value.message, caught.value.dispatched)


async def test_no_more_calls_run_than_the_unit_allows(tmp_path: Path) -> None:
    count = """running = most = 0
async def unary(self, request):
    Service.running += 1
    Service.most = max(Service.most, Service.running)
    await asyncio.sleep(0.001)
    Service.running -= 1
    return Answer(number=Service.most)"""
    async with running(tmp_path, text(app(tmp_path, count), "concurrency = 3")) as it:
        answers = await asyncio.gather(*(it.kinds.unary(Ask(), timeout=30) for _ in range(100)))

    assert 3 == max(answer.number for answer in answers)


async def test_a_pinned_unit_stays_and_a_restart_loses_nothing(tmp_path: Path) -> None:
    toml = text(app(tmp_path, HOLD), "pinned = true", 'idle = "0s"')
    async with running(tmp_path, toml) as it:
        held = asyncio.create_task(_outcome(it, Ask(text="hold")))
        await until((tmp_path / "held-0").exists)
        (first,) = processes_in(tmp_path)
        restart = asyncio.create_task(it.master.restart("u"))
        await until(lambda: it.master.status()["u"].phase == "draining")
        later = asyncio.create_task(_outcome(it, Ask()))
        (tmp_path / "go").touch()
        assert str(first) == await held
        assert 2 == await restart
        assert str(first) != await later
        assert "ready" == it.master.status()["u"].phase

    assert ["call", "restart"] == [event.trigger for event in it.told if event.kind == "starting"]
