"""`serve --as`: a worker in somebody's foreground stands in for a unit of a running master."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsu_worker.errors import NotFound, Unavailable
from hsu_worker.gen.hsu_core import KeepPlaceRequest, RegistryClient
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, processes_in, running, text
from tests.terminal import terminal
from tests.until import until
from tests.worker.process import connected, served_at, serving, write_service

#: Says whose it is, and waits when it is asked to.
WHO = """
async def unary(self, request):
    if request.text == "wait":
        Path("called").touch()
        while not Path("go").exists():
            await asyncio.sleep(0.002)
    if request.text == "break":
        breakpoint()
    return Answer(text=os.environ.get("WHO", "its own"))
"""


def arguments(it: Running, *more: str, unit: str = "u") -> list[str]:
    return ["mysvc:Service", f"--as={unit}", f"--master={it.master.address}", *more]


@asynccontextmanager
async def standing_in(it: Running, folder: Path, *more: str) -> AsyncGenerator[Process, None]:
    """A worker in the place of `u`; it calls itself `ours`."""
    async with serving(folder, *arguments(it, *more), WHO="ours") as process:
        await served_at(process)
        yield process


async def who(it: Running, asked: str = "") -> str:
    return (await it.kinds.unary(Ask(text=asked), timeout=20)).text


def told(it: Running) -> list[tuple[str, int, str]]:
    return [(event.kind, event.generation, event.trigger) for event in it.told]


async def test_it_takes_the_place_and_gives_it_back(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, WHO))) as it:
        assert "its own" == await who(it)
        async with standing_in(it, tmp_path) as process:
            assert "ours" == await who(it)
            status = it.master.status()["u"]
            assert ("ready", 2) == (status.phase, status.generation)
            assert status.detail.startswith(f"stand-in, pid {process.pid}, at unix:")
            await it.event("stopped")
            assert [process.pid] == processes_in(tmp_path)
            process.send_signal(signal.SIGINT)
            assert 0 == await process.wait()
            # However soon the next call comes.
            assert "its own" == await who(it)
            status = it.master.status()["u"]
    assert ("ready", 3, "") == (status.phase, status.generation, status.failure)
    assert [
        *[("starting", 1, "call"), ("ready", 1, "start")],
        *[("swapping", 2, "stand-in"), ("ready", 2, "start"), ("swapped", 2, "stand-in")],
        *[("stopping", 1, "stand-in"), ("stopped", 1, "stand-in")],
        *[("stopping", 2, "stand-in"), ("stopped", 2, "stand-in")],
        *[("starting", 3, "call"), ("ready", 3, "start")],
    ] == told(it)[:11]


async def test_a_call_that_it_has_ends_before_it_leaves(tmp_path: Path) -> None:
    async with (
        running(tmp_path, text(app(tmp_path, WHO))) as it,
        standing_in(it, tmp_path) as process,
    ):
        call = asyncio.create_task(who(it, "wait"))
        await until((tmp_path / "called").exists)
        process.send_signal(signal.SIGTERM)
        await it.event("stopping")
        late = asyncio.create_task(who(it))
        (tmp_path / "go").touch()
        assert "ours" == await call
        assert "its own" == await late
        assert 0 == await asyncio.wait_for(process.wait(), 20)


async def test_kill_9_ends_its_calls_with_the_truth_and_loses_none_that_waits(
    tmp_path: Path,
) -> None:
    async with (
        running(tmp_path, text(app(tmp_path, WHO), "concurrency = 1")) as it,
        standing_in(it, tmp_path) as process,
    ):
        call = asyncio.create_task(who(it, "wait"))
        await until((tmp_path / "called").exists)
        waits = [asyncio.create_task(who(it)) for _ in range(5)]
        await until(lambda: it.master.status()["u"].waiters == 5)
        process.kill()
        with pytest.raises(Unavailable) as caught:
            await call
        assert ["its own"] * 5 == [await each for each in waits]
        status = it.master.status()["u"]
    assert "unknown" == caught.value.dispatched
    # It is no crash of the unit.
    assert "" == status.failure
    assert [] == [event for event in it.told if event.crash is not None]


OTHERS = """
[units.registered]
register = true
implements = ["one.v1.One"]
[units.known]
address = "tcp:127.0.0.1:7"
implements = ["two.v1.Two"]
[units.another]
command = ["/bin/true"]
implements = ["three.v1.Three"]
"""

#: Why nobody can stand in for them.
REFUSED = {
    "v": "there is no unit 'v'; configured: u, registered, known, another",
    "registered": (
        "unit 'registered' has no worker of its own to stand in for: it has register = true; "
        "serve it with --register and --unit registered"
    ),
    "known": (
        "unit 'known' has no worker of its own to stand in for: it has an address; "
        "serve it there, with --listen tcp:127.0.0.1:7"
    ),
    "another": (
        "it can't stand in for unit 'another': it lacks interface three.v1.Three; "
        "it offers hsu.test.v1.Kinds"
    ),
    "u": "another worker stands in for unit 'u' already; `hsu-worker list` tells which",
}


async def test_it_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with (
        running(tmp_path, text(app(tmp_path, WHO), OTHERS)) as it,
        standing_in(it, tmp_path),
    ):
        for unit, reason in REFUSED.items():
            async with serving(tmp_path, *arguments(it, unit=unit)) as process:
                out, errors = await process.communicate()
            assert (3, b"") == (process.returncode, out)
            assert errors.decode().splitlines()[-1] == (
                f"Error: 'mysvc:Service' could not start: {it.master.address} "
                f"refuses the registration: {reason}"
            )
        # Whoever stands in goes on.
        assert "ours" == await who(it)


async def test_a_master_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_service(tmp_path)
    nobody = f"--master=unix:{tmp_path}/nobody"
    async with serving(tmp_path, "mysvc:Service", "--as=u", nobody) as process:
        _, errors = await process.communicate()

    assert 3 == process.returncode
    last = errors.decode().splitlines()[-1]
    assert last.startswith(
        f"Error: 'mysvc:Service' could not start: registration with unix:{tmp_path}/nobody: UNAVAILABLE"
    )


@pytest.mark.parametrize("deed", ["stop", "swap"])
async def test_who_operates_the_unit_sends_it_away(tmp_path: Path, deed: str) -> None:
    async with (
        running(tmp_path, text(app(tmp_path, WHO))) as it,
        standing_in(it, tmp_path) as process,
    ):
        assert "ours" == await who(it)
        await getattr(it.master, deed)("u")
        _, errors = await asyncio.wait_for(process.communicate(), 20)
        assert 0 == process.returncode
        assert "its own" == await who(it)

    cause = "generation 2 has taken its place" if deed == "swap" else "somebody asked for it"
    assert f"leaving: unit 'u' has its place back: {cause}\n" in errors.decode()


async def test_calls_wait_while_it_starts_anew_with_new_code(tmp_path: Path) -> None:
    said = "async def unary(self, request):\n    return Answer(text={!r})\n"
    toml = text(app(tmp_path, said.format("old")))
    async with running(tmp_path, toml) as it, standing_in(it, tmp_path, "--reload") as process:
        assert "old" == await who(it)
        [own] = set(processes_in(tmp_path)) - {process.pid}
        answers = []
        write_service(tmp_path, said.format("new"))
        while "new" not in answers:
            answers.append(await who(it))
        # Nobody but the stand-ins has answered.
        starting = [event for event in it.told if event.kind == "starting"]
        assert [] == starting
        assert own not in processes_in(tmp_path)
        process.send_signal(signal.SIGINT)
        await process.wait()
        await who(it)
        assert "starting" in [event.kind for event in it.told]


async def test_a_place_is_kept_for_a_stand_in_alone(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, WHO))) as it, standing_in(it, tmp_path):
        assert it.master.address
        assert it.master.token_file
        token = it.master.token_file.read_text()
        async with connected(it.master.address, token) as connection:
            for unit in ("u", "v"):
                with pytest.raises(NotFound) as caught:
                    await RegistryClient(connection).keep_place(
                        KeepPlaceRequest(unit=unit, instance="1" * 32), timeout=20
                    )
    assert f"'{'1' * 32}' does not stand in for unit 'v'" == caught.value.message


async def test_it_may_stand_at_a_breakpoint_for_as_long_as_it_likes(tmp_path: Path) -> None:
    # Three Pings would be missed before the debugger has been asked twice.
    pings = ('ping = "10ms"', 'ping_timeout = "10ms"', 'idle = "10ms"')
    async with running(tmp_path, text(app(tmp_path, WHO), *pings)) as it:
        with terminal(tmp_path, "serve", *arguments(it), WHO="ours") as at:
            await at.shows("serving ")
            call = asyncio.create_task(who(it, "break"))
            await at.shows("(Pdb) ")
            for _ in range(10):
                at.type("import time; time.sleep(0.05)\n")
                await at.shows("(Pdb) ")
            at.type("continue\n")
            assert "ours" == await call
            assert "ours" == await who(it)
            assert [] == [event for event in it.told if event.kind == "unresponsive"]


async def test_its_handlers_know_the_master_and_the_master_takes_its_log(tmp_path: Path) -> None:
    knows = (
        "async def unary(self, request):\n"
        "    from hsu_worker.wire.launch import own_master\n"
        "    address, token = own_master()\n"
        "    print('asked')\n"
        "    return Answer(text=f'{address} {token}')\n"
    )
    async with running(tmp_path, text(app(tmp_path, knows))) as it, standing_in(it, tmp_path):
        assert it.master.token_file
        assert f"{it.master.address} {it.master.token_file.read_text()}" == await who(it)
        await until(lambda: "asked" in it.lines("stdout"))
