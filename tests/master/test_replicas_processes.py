"""A unit with several true workers at the same time."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

from hsu_worker.errors import RpcError
from hsu_worker.gen.hsu_core import RegisterRequest, RegistryClient
from hsu_worker.master import Config
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import Running, app, processes_in, running, text
from tests.until import until

#: Waits in a call until a file is there that has the call's number, or `go`.
HOLD = """async def unary(self, request):
    Path(f'{request.number}-{os.getpid()}').touch()
    while request.text == 'hold' and not (Path(f'go-{request.number}').exists() or Path('go').exists()):
        await asyncio.sleep(0.01)
    return Answer(text=str(os.getpid()))"""

TWO = ("concurrency = 1", "replicas = 2")


async def _outcome(it: Running, number: int, what: str = "hold") -> str:
    try:
        return (await it.kinds.unary(Ask(text=what, number=number), timeout=60)).text
    except RpcError as error:
        return f"{error.code.name} {error.dispatched}"


def _held(folder: Path) -> dict[int, int]:
    """The calls that have come to a worker, and the pids of these."""
    files = (path.name.split("-") for path in folder.glob("[0-9]*-*"))
    return {int(number): int(pid) for number, pid in files}


async def test_t53_four_callers_run_two_at_a_time_in_the_order_in_which_they_came(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, text(app(tmp_path, HOLD), *TWO, 'drain = "1s"')) as it:
        calls = [asyncio.create_task(_outcome(it, number)) for number in range(4)]
        await until(lambda: len(_held(tmp_path)) == 2)
        status = it.master.status()["u"]
        assert (2, 2) == (status.leases, status.waiters)
        assert "2 of 2 workers, " in status.detail
        assert [1, 1] == [each.leases for each in status.replicas]
        assert set(status.pids) == set(processes_in(tmp_path)) == set(_held(tmp_path).values())
        assert {0, 1} == set(_held(tmp_path))
        # Who has room first takes the next one.
        (tmp_path / "go-1").touch()
        await until(lambda: 2 in _held(tmp_path))
        assert _held(tmp_path)[2] == _held(tmp_path)[1]
        assert 3 not in _held(tmp_path)
        (tmp_path / "go").touch()
        assert Counter(await asyncio.gather(*calls)).keys() == {str(pid) for pid in status.pids}
        # Each has a socket, and one log tells which of them wrote what.
        assert {1, 2} == {event.generation for event in it.master.why("u") if event.kind == "ready"}


async def test_t53_kill_9_of_one_ends_its_call_and_loses_none_that_waits(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, HOLD), *TWO)) as it:
        calls = [asyncio.create_task(_outcome(it, number)) for number in range(2)]
        await until(lambda: len(_held(tmp_path)) == 2)
        queued = [asyncio.create_task(_outcome(it, number, "")) for number in range(2, 12)]
        await until(lambda: it.master.status()["u"].waiters == 10)
        killed = _held(tmp_path)[0]
        os.kill(killed, signal.SIGKILL)
        # The other one is still full: they are served by the next.
        served = await asyncio.gather(*queued)
        assert not calls[1].done()
        (tmp_path / "go").touch()
        ends = await asyncio.gather(*calls)
    assert ["UNAVAILABLE unknown", str(_held(tmp_path)[1])] == ends
    assert 1 == len(set(served))
    assert not {str(pid) for pid in _held(tmp_path).values() if pid == killed} & set(served)


async def test_t53_swaps_of_all_under_load_lose_no_call(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, HOLD), *TWO)) as it:
        stop = asyncio.Event()
        ends: list[str] = []

        async def caller() -> None:
            while not stop.is_set():
                ends.append(await _outcome(it, len(ends), ""))

        callers = [asyncio.create_task(caller()) for _ in range(4)]
        await until(lambda: len(set(ends)) == 2)
        for _ in range(3):
            before = set(it.master.status()["u"].pids)
            await it.master.swap("u")
            assert not before & set(it.master.status()["u"].pids)
        stop.set()
        await asyncio.gather(*callers)
    assert [] == [end for end in ends if not end.isdigit()]
    assert 3 == len([event for event in it.told if event.kind == "swapped"]) // 2


async def test_t53_a_further_worker_ends_when_it_had_nothing_to_do(tmp_path: Path) -> None:
    toml = text(app(tmp_path, HOLD), *TWO, "pinned = true", 'scale_down = "200ms"')
    async with running(tmp_path, toml) as it:
        calls = [asyncio.create_task(_outcome(it, number)) for number in range(2)]
        await until(lambda: len(_held(tmp_path)) == 2)
        (tmp_path / "go").touch()
        await asyncio.gather(*calls)
        stopping = await it.event("stopping")
        assert "not called for 0.2 s" == stopping.detail
        await it.event("stopped")
        (left,) = processes_in(tmp_path)
        assert (left,) == it.master.status()["u"].pids
        assert str(left) == await _outcome(it, 9, "")


async def test_replicas_come_and_go_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "hsu.toml"
    launch = app(tmp_path, HOLD)
    file.write_text(text(launch, "concurrency = 1"))
    it = Running(Config.from_file(file))
    async with it.master:
        calls = [asyncio.create_task(_outcome(it, number)) for number in range(3)]
        await until(lambda: len(_held(tmp_path)) == 1)
        file.write_text(text(launch, "concurrency = 1", "replicas = 3"))
        assert ("u",) == (await it.master.reload()).adjusted
        # Two of them had waited for the one.
        calls += [asyncio.create_task(_outcome(it, number)) for number in (3, 4)]
        await until(lambda: len(_held(tmp_path)) == 3)
        file.write_text(text(launch, "concurrency = 1"))
        (tmp_path / "go").touch()
        assert ("u",) == (await it.master.reload()).adjusted
        assert all(end.isdigit() for end in await asyncio.gather(*calls))
        await until(lambda: len(processes_in(tmp_path)) == 1)


async def test_nobody_stands_in_for_a_unit_with_replicas(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path), *TWO)) as it:
        assert it.master.token_file is not None
        connection = Connection.open(it.master.addresses[0], token=it.master.token_file.read_text())
        try:
            request = RegisterRequest(unit="u", address="tcp:127.0.0.1:1", stand_in=True)
            [answer] = [each async for each in RegistryClient(connection).register(request)]
        finally:
            await connection.close()
    assert not answer.accepted
    assert "unit 'u' has 2 replicas, and no single place; write replicas = 1" == answer.reason


async def test_replicas_that_idle_go_for_a_unit_that_needs_their_memory(tmp_path: Path) -> None:
    launch = app(tmp_path, HOLD)
    first = text(launch, *TWO, 'memory = "300MB"')
    other = text(launch, 'memory = "500MB"').replace("[units.u]", "[units.v]")
    routes = '[routes]\n"hsu.test.v1.Kinds" = "u"'
    shared = '[master]\nmemory = "700MB"\nmin_residency = "50ms"'
    async with running(tmp_path, f"{first}\n{other}\n{routes}\n{shared}") as it:
        calls = [asyncio.create_task(_outcome(it, number)) for number in range(2)]
        await until(lambda: len(_held(tmp_path)) == 2)
        v = it.master.client(Kinds, unit="v")
        call = asyncio.create_task(v.unary(Ask(number=9), timeout=60))
        await until(lambda: it.master.status()["v"].waiters == 1)
        (tmp_path / "go").touch()
        # Both have to go: 300 MB beside 500 MB are too much.
        ends = {*await asyncio.gather(*calls), (await call).text}
        assert len(ends) == 3
        assert all(end.isdigit() for end in ends)
        evicted = [event.generation for event in it.master.why("u") if event.trigger == "evicted"]
        assert {1, 2} == set(evicted)
