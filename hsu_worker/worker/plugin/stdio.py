"""What a plugin prints, on its way to the host: go-plugin's GRPCStdio."""

import asyncio
import io
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty

from hsu_worker.authoring.implements import implements
from hsu_worker.gen.plugin.grpc_stdio import GRPCStdio, StdioData

#: Bytes that wait for the host at the most; the oldest make room.
WAITING_BYTES: Final = 1 << 20
#: Bytes of one message.
_CHUNK: Final = 64 << 10

_Channel: Final = StdioData.Channel


@implements(GRPCStdio)
class Stdio:
    """Keeps output until the host takes it. May be written to from any thread.

    Whoever prints never waits: a host that doesn't read loses the oldest, and is told how much.
    """

    def __init__(self, waiting_bytes: int = WAITING_BYTES) -> None:
        self._lock = threading.Lock()
        self._waiting_bytes = waiting_bytes
        self._pieces: deque[tuple[StdioData.Channel, bytes]] = deque()
        self._bytes = 0
        self._lost = 0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    def write(self, channel: StdioData.Channel, data: bytes) -> None:
        """Keep some output."""
        with self._lock:
            for start in range(0, len(data), _CHUNK):
                self._pieces.append((channel, data[start : start + _CHUNK]))
            self._bytes += len(data)
            while self._bytes > self._waiting_bytes:
                lost = len(self._pieces.popleft()[1])
                self._bytes -= lost
                self._lost += lost
        self._wake()

    def close(self) -> None:
        """Let the stream end, once the host has everything."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._closed = True
        self._wake()

    async def stream_stdio(self, _request: Empty) -> AsyncGenerator[StdioData, None]:
        """Send what is written, from the first line on."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            while (piece := self._take()) is not None:
                yield piece
            if self._closed:
                return
            await self._news.wait()

    def _take(self) -> StdioData | None:
        with self._lock:
            if self._lost:
                note = f"\n[{self._lost} bytes of output were lost]\n".encode()
                self._lost = 0
                return StdioData(channel=_Channel.STDERR, data=note)
            if not self._pieces:
                return None
            channel, data = self._pieces.popleft()
            while self._pieces and self._pieces[0][0] == channel and len(data) < _CHUNK:
                data += self._pieces.popleft()[1]
            self._bytes -= len(data)
            return StdioData(channel=channel, data=data)

    def _wake(self) -> None:
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            # The loop has ended, and with it the stream.
            return

    @contextmanager
    def captures_stdout(self) -> Generator[None, None, None]:
        """Take what is written to `sys.stdout` while the block runs."""
        before = sys.stdout
        sys.stdout = mine = _text(self, _Channel.STDOUT, 1)
        try:
            yield
        finally:
            mine.flush()
            sys.stdout = before

    @contextmanager
    def captures_stderr(self) -> Generator[None, None, None]:
        """Take what is written to `sys.stderr` while the block runs."""
        before = sys.stderr
        sys.stderr = mine = _text(self, _Channel.STDERR, 2)
        try:
            yield
        finally:
            mine.flush()
            sys.stderr = before


def _text(stdio: Stdio, channel: StdioData.Channel, descriptor: int) -> io.TextIOWrapper:
    raw: Any = _Outlet(stdio, channel, descriptor)
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)


class _Outlet(io.RawIOBase):
    def __init__(self, stdio: Stdio, channel: StdioData.Channel, descriptor: int) -> None:
        super().__init__()
        self._stdio = stdio
        self._channel = channel
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        # For children, whose output the host finds in its log.
        return self._descriptor

    def write(self, data: Any, /) -> int:
        taken = bytes(data)
        self._stdio.write(self._channel, taken)
        return len(taken)
