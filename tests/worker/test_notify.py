"""What systemd is told, and when its watchdog is fed."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsu_worker import App
from hsu_worker.gen.hsu_core import PingResponse
from hsu_worker.serving.logring import LogRing
from hsu_worker.wire.address import Address
from hsu_worker.worker import watchdog
from hsu_worker.worker.answering import Answering, answering
from hsu_worker.worker.core import CoreService
from hsu_worker.worker.notify import Notify
from tests.serving.kinds import AsyncKinds
from tests.worker.process import serving, write_service


class Manager:
    """The socket of a service manager."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        self._socket.setblocking(False)

    async def told(self) -> list[str]:
        """The next message, line by line."""
        async with asyncio.timeout(20):
            message = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
        return message.decode().split("\n")

    async def until(self, line: str) -> list[list[str]]:
        """The messages up to one with a line; those of the watchdog count for nothing."""
        messages: list[list[str]] = []
        while not messages or line not in messages[-1]:
            message = await self.told()
            if message != ["WATCHDOG=1"] or line == "WATCHDOG=1":
                messages.append(message)
        return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Manager, None, None]:
    name = f"@hsu-test-{os.urandom(8).hex()}" if request.param == "abstract" else f"{tmp_path}/n"
    made = Manager(name)
    yield made
    made.close()


LOADS = """
@lifespan
async def loaded(self):
    report_progress(0.5, "reading\\nthe model")
    await asyncio.sleep(0.01)
    yield
"""


async def test_a_life_as_it_is_told(tmp_path: Path, manager: Manager) -> None:
    async with serving(
        tmp_path,
        write_service(tmp_path, LOADS),
        f"--listen=unix:{tmp_path}/s",
        NOTIFY_SOCKET=manager.name,
        WATCHDOG_USEC="100000",
    ) as process:
        *starting, ready = await manager.until("READY=1")
        await manager.until("WATCHDOG=1")
        await manager.until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        [leaving] = await manager.until("STOPPING=1")
        assert 0 == await process.wait()

    assert ["STATUS=starting: 50% reading the model", "EXTEND_TIMEOUT_USEC=30000000"] in starting
    assert ready[1].startswith(f"STATUS=serving hsu.test.v1.Kinds at unix:{tmp_path}/s; call it: ")
    assert ["STOPPING=1", "STATUS=running calls finish"] == leaving


async def test_a_reload_is_told_as_one(tmp_path: Path) -> None:
    manager = Manager(f"{tmp_path}/n")
    target = write_service(tmp_path)
    async with serving(tmp_path, target, "--reload", NOTIFY_SOCKET=manager.name) as process:
        await manager.until("READY=1")
        write_service(tmp_path, before="# changed")
        [reloading] = await manager.until("RELOADING=1")
        assert reloading[1].removeprefix("MONOTONIC_USEC=").isdigit()
        assert 1 == len(await manager.until("READY=1"))
        process.send_signal(signal.SIGTERM)
        assert 1 == len(await manager.until("STOPPING=1"))
        assert 0 == await process.wait()
    manager.close()


def test_the_variables_are_gone_for_children() -> None:
    environ = {
        "NOTIFY_SOCKET": "/s",
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    assert 3.0 == Notify(environ).watchdog
    assert {"PATH": "/bin"} == environ


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": "/s"},
        {"WATCHDOG_USEC": "3000000"},
        {"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "soon"},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(environ: dict[str, str]) -> None:
    assert 0.0 == Notify(environ).watchdog


def test_nobody_at_the_socket_is_no_error(tmp_path: Path) -> None:
    Notify({"NOTIFY_SOCKET": f"{tmp_path}/nobody"}).ready("")
    Notify({"NOTIFY_SOCKET": "@" + "x" * 200}).ready("")
    Notify({}).ready("")


@asynccontextmanager
async def worker(folder: Path) -> AsyncGenerator[Answering, None]:
    async with answering(
        App(AsyncKinds()),
        Address(path=f"{folder}/w"),
        instance="1" * 32,
        token="secret",
        ring=LogRing(),
    ) as it:
        yield it


async def test_a_worker_answers_or_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path) as it:
        assert "" == await watchdog.what_is_wrong(it.address, "secret", 20.0)
        refused = await watchdog.what_is_wrong(it.address, "wrong", 20.0)
        assert refused.startswith("no answer to a Ping within 20 s: UNAUTHENTICATED")

        # All slots are taken: by calls that may take so long, or by one that has outlived its own end.
        overdue = 0

        async def ping(_self: object, _request: object) -> PingResponse:
            answer = PingResponse(busy=True)
            answer.most_overdue.FromSeconds(overdue)
            return answer

        monkeypatch.setattr(CoreService, "ping", ping)
    async with worker(tmp_path) as it:
        assert "" == await watchdog.what_is_wrong(it.address, "secret", 20.0)
        overdue = 31
        assert "a call has outlived its deadline or its caller by 31 s" == (
            await watchdog.what_is_wrong(it.address, "secret", 20.0)
        )
    gone = await watchdog.what_is_wrong(it.address, "secret", 20.0)
    assert gone.startswith("no answer to a Ping within 20 s: UNAVAILABLE")


async def test_only_a_worker_that_answers_feeds_the_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager(f"{tmp_path}/n")
    problems = ["", "it hangs", "it hangs", "", "it hangs"]
    asked = asyncio.Event()

    async def what_is_wrong(*_: object) -> str:
        if problems:
            return problems.pop(0)
        asked.set()
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(watchdog, "what_is_wrong", what_is_wrong)
    notify = Notify({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "2000"})
    feeding = asyncio.create_task(watchdog.feed_watchdog(notify, Address(path="/w"), ""))
    await asked.wait()
    feeding.cancel()
    notify.ready("that was all")
    messages = [await manager.told() for _ in range(3)]
    manager.close()
    assert [["WATCHDOG=1"], ["WATCHDOG=1"], ["READY=1", "STATUS=that was all"]] == messages
