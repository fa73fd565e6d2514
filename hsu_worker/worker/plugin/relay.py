"""TLS in front of a worker: takes the host's connections, and hands their bytes to a private socket.

grpc's own TLS refuses the host's certificate: go-plugin makes keys on the curve P-521, which grpc
doesn't offer. Python's ssl takes them.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from hsu_worker.serving.sockets import private_files

#: Bytes that are read at once.
_CHUNK: Final = 64 << 10
#: Seconds for the last bytes to reach the host.
FLUSH_TIMEOUT: Final = 0.5


@asynccontextmanager
async def relaying(path: str, context: ssl.SSLContext, target: str) -> AsyncGenerator[None, None]:
    """Listen at a Unix path with TLS while the block runs.

    Args:
        path: Where; nothing must be there.

        context: Decides who gets in.

        target: The path of the socket that gets their bytes.
    """
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await _relay(reader, writer, target)
        finally:
            running.discard(task)

    listener = socket.socket(socket.AF_UNIX)
    with private_files():
        listener.bind(path)
    server = await asyncio.start_unix_server(serve, sock=listener, ssl=context)
    try:
        yield
    finally:
        server.close()
        os.unlink(path)
        if running:
            _, late = await asyncio.wait(running, timeout=FLUSH_TIMEOUT)
            for task in late:
                task.cancel()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> None:
    """Pass on what both ends write, until one has nothing more to say."""
    try:
        inner_reader, inner_writer = await asyncio.open_unix_connection(target)
    except OSError:
        # The worker has just left.
        writer.close()
        return
    copies = [
        asyncio.create_task(_copy(reader, inner_writer)),
        asyncio.create_task(_copy(inner_reader, writer)),
    ]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # TLS has no half-closed connections, and gRPC needs none.
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)
        inner_writer.close()
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
