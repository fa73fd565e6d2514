"""A keeper whose workers are forks, which takes a tenth of the time that launches take.

What such a worker can't show is its own command line and its first environment: they are the zygote's.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Self

import pytest

from hsu_worker.conformance import run
from hsu_worker.master.keeper.processes import live_processes
from hsu_worker.master.keeping import Keeper
from hsu_worker.master.process import Exit
from tests.until import until

#: Checks that look at the environments of processes: those of forks are the zygote's.
NOT_OF_FORKS: Final = ("children-environment", "children-gone", "master-killed", "token-secret")

#: What makes the keepers of the checks that a task makes.
_MAKE: ContextVar[Callable[[], Any]] = ContextVar("_MAKE", default=Keeper)


class Forked:
    """What the kit needs of `hsu_worker.master.process.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.over = False
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def exited(self) -> Exit:
        return await asyncio.shield(self.ended)

    async def gone(self) -> None:
        await until(lambda: not self._left())
        self.over = True

    def _left(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        # It may be that all have ended, and nobody has waited for them.
        return any(line.group == self.pid for line in live_processes())


class Forking:
    """Has one zygote; as a function it makes keepers."""

    def __init__(self, near: socket.socket) -> None:
        self._near = near
        self._lock = asyncio.Lock()
        self._forked: asyncio.Queue[int] = asyncio.Queue()
        self._processes: dict[int, Forked] = {}
        self._early: dict[int, Exit] = {}

    def __call__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdin: int,
        stdout: int,
        stderr: int,
        announce: int | None,
    ) -> Any:
        _, script = argv
        request = json.dumps({"script": script, "env": dict(env), "cwd": cwd}).encode()
        given = [stdin, stdout, stderr, *([] if announce is None else [announce])]
        async with self._lock:
            socket.send_fds(self._near, [request], given)
            process = Forked(await self._forked.get())
        self._processes[process.pid] = process
        if process.pid in self._early:
            process.ended.set_result(self._early.pop(process.pid))
        return process

    def receive(self) -> None:
        with suppress(BlockingIOError):
            while data := self._near.recv(1 << 16):
                self._take(json.loads(data))

    def _take(self, event: Mapping[str, int]) -> None:
        if "forked" in event:
            self._forked.put_nowait(event["forked"])
            return
        code = event["code"]
        how = Exit(code, None, 0) if code >= 0 else Exit(None, -code, 0)
        process = self._processes.pop(event["exited"], None)
        if process is None:
            self._early[event["exited"]] = how
        else:
            process.ended.set_result(how)


@asynccontextmanager
async def forking(stubs: Path) -> AsyncGenerator[None, None]:
    """Have a zygote during the block: the workers that this task checks, and those that it begins, are forks."""
    # Packets: each is one request, or one event.
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far, pytest.MonkeyPatch.context() as patch:
        script = Path(__file__).with_name("zygote.py")
        zygote = await asyncio.create_subprocess_exec(
            *(sys.executable, script, stubs), stdin=far.fileno(), start_new_session=True
        )
        far.close()
        near.setblocking(False)
        made = Forking(near)
        loop = asyncio.get_running_loop()
        loop.add_reader(near, made.receive)
        try:
            _MAKE.set(lambda: made)
            patch.setattr(run, "Keeper", lambda: _MAKE.get()())
            yield
        finally:
            loop.remove_reader(near)
            zygote.kill()
            await zygote.wait()
