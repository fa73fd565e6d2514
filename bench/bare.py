"""Bare workers to compare with: started and called as anybody would by hand."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import grpc.aio

from bench.measure import ROOT
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import channel_options
from tests.gen.hsu_test_kinds import Answer, Ask

#: Seconds after which something hangs.
BOUND: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """A worker that answers at the other end of a channel."""

    pid: int
    channel: grpc.aio.Channel
    ended: Callable[[], Coroutine[Any, Any, object]]
    """Waits for the end of the process."""

    async def stop(self) -> None:
        await self.channel.close()
        os.kill(self.pid, signal.SIGTERM)
        await self.ended()


class Bares:
    """Makes bare workers: by spawning each, or by forking them from one template."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._template: asyncio.subprocess.Process | None = None
        self._ready: dict[str, asyncio.Future[int]] = {}
        self._reader: asyncio.Task[None] | None = None

    @property
    def template(self) -> int:
        """The pid of what the forked ones come from."""
        assert self._template is not None
        return self._template.pid

    async def warm(self) -> None:
        """Have the template ready."""
        self._template = await _run("-")
        assert self._template.stdout is not None
        await self._template.stdout.readline()
        self._reader = asyncio.create_task(self._read(self._template.stdout))

    async def spawn(self) -> Bare:
        """Start one, up to its first answer."""
        path = self._path()
        process = await _run(path)
        assert process.stdout is not None
        _checked(await process.stdout.readline(), path)

        async def ended() -> None:
            assert process.stdin is not None
            await process.wait()
            process.stdin.close()

        return await _answering(Bare(pid=process.pid, channel=_channel(path), ended=ended))

    async def fork(self) -> Bare:
        """Fork one, up to its first answer."""
        assert self._template is not None
        assert self._template.stdin is not None
        path = self._path()
        ready = self._ready[path] = asyncio.get_running_loop().create_future()
        self._template.stdin.write(f"{path}\n".encode())
        pid = await ready

        async def ended() -> None:
            while True:
                with suppress(FileNotFoundError, ProcessLookupError):
                    os.kill(pid, 0)
                    await asyncio.sleep(0.001)
                    continue
                return

        return await _answering(Bare(pid=pid, channel=_channel(path), ended=ended))

    async def close(self) -> None:
        if self._template is None or self._reader is None:
            return
        assert self._template.stdin is not None
        self._template.stdin.close()
        await self._template.wait()
        await self._reader

    def _path(self) -> str:
        return str(self._folder / f"{next(self._numbers)}.sock")

    async def _read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            _, pid, path = line.decode().split()
            self._ready.pop(path).set_result(int(pid))


@asynccontextmanager
async def bares(*, template: bool = False) -> AsyncGenerator[Bares, None]:
    """What makes bare workers; with `template` also by forking."""
    with tempfile.TemporaryDirectory(prefix="hsu-bench-") as folder:
        made = Bares(Path(folder))
        if template:
            await made.warm()
        try:
            yield made
        finally:
            await made.close()


def unary(channel: grpc.aio.Channel) -> "grpc.aio.UnaryUnaryMultiCallable[Ask, Answer]":
    """The call, as grpc's own generated stub makes it."""
    return channel.unary_unary(
        "/hsu.test.v1.Kinds/Unary",
        request_serializer=Ask.SerializeToString,
        response_deserializer=Answer.FromString,
    )


def server_stream(channel: grpc.aio.Channel) -> "grpc.aio.UnaryStreamMultiCallable[Ask, Answer]":
    """As `unary`."""
    return channel.unary_stream(
        "/hsu.test.v1.Kinds/ServerStream",
        request_serializer=Ask.SerializeToString,
        response_deserializer=Answer.FromString,
    )


async def _run(path: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.control",
        path,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _answering(worker: Bare) -> Bare:
    answer = await unary(worker.channel)(Ask(text="x"), timeout=BOUND)
    assert answer.text == "x"
    return worker


def _channel(path: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(
        f"unix:{path}", options=channel_options(Address(path=str(path)))
    )


def _checked(line: bytes, path: str) -> None:
    assert line.endswith(f" {path}\n".encode()), line
