"""Stdin for a program with an event loop: a terminal, a pipe or a file, read as it comes."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Final

from hsu_worker.cli import WrongInput

#: The name of the thread that reads.
READER: Final = "hsu-stdin"
#: Bytes of one read, and reads that may lie unused.
_CHUNK: Final = 1 << 16
_AHEAD: Final = 4


async def text() -> str:
    """All of it.

    Raises:
        WrongInput: It is not UTF-8.
    """
    return _decoded(b"".join([chunk async for chunk in _chunks()]), "stdin")


async def lines() -> AsyncGenerator[tuple[int, str], None]:
    """Each line with its number, from 1, as soon as it is there; not those that are empty.

    Raises:
        WrongInput: One is not UTF-8.
    """
    number, rest = 0, b""
    async for chunk in _chunks():
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            number += 1
            if line.strip():
                yield number, _decoded(line, f"line {number}")
    if rest.strip():
        yield number + 1, _decoded(rest, f"line {number + 1}")


async def _chunks() -> AsyncGenerator[bytes, None]:
    if sys.stdin is None:
        # It is closed; its descriptor may be something else by now.
        return
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def read() -> None:
        chunk = b"?"
        while chunk:
            room.acquire()
            try:
                # Not sys.stdin: who holds its lock when the process ends makes it abort.
                chunk = os.read(0, _CHUNK)
            except OSError:
                chunk = b""
            try:
                loop.call_soon_threadsafe(queue.put_nowait, chunk)
            except RuntimeError:
                return  # the loop has ended

    # A daemon: nothing wakes a read of a terminal, and the process shall end without it.
    threading.Thread(target=read, name=READER, daemon=True).start()
    while chunk := await queue.get():
        room.release()
        yield chunk


def _decoded(line: bytes, name: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise WrongInput(f"{name}: not UTF-8, at byte {error.start + 1}") from None
