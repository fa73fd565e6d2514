"""The caller's side of a call that is passed on: its requests, and the head of its answer."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import grpc.aio

from hsu_worker.errors import Cancelled
from hsu_worker.serving.admission import Context
from hsu_worker.wire.source import Source

#: Seconds that empty initial metadata waits for the first message, to travel with it: a write of
#: its own would cost every unary call a tenth. And for a refusal, which comes right behind it: once
#: something was sent, the call can't be made again.
EMPTY_HEAD_WAIT: Final = 0.1
#: Turns of the loop in which it waits: one that stands still hears of nothing that has come.
EMPTY_HEAD_TURNS: Final = 5


def caller_requests(context: Context) -> Source:
    """The caller's requests as bytes; while only the first was taken, it can be had again."""
    task = asyncio.current_task()
    assert task is not None
    return Source(_bodies(context, task), _as_it_is)


def _as_it_is(body: bytes) -> bytes:
    return body


async def _bodies(context: Context, task: "asyncio.Task[Any]") -> AsyncGenerator[bytes, None]:
    """The requests, each read when the one before has been sent on.

    Raises:
        Cancelled: The caller has left, or its time ran out: this is no end of the stream.
    """
    body: Any
    while (body := await context.read()) is not grpc.aio.EOF:
        yield body
    # grpc.aio reports a caller that left as the end of its stream, too, and cancels the task a
    # moment later. A second read comes back after that.
    await context.read()
    if task.cancelling():
        raise Cancelled("the caller has left")


class Head:
    """Sends the initial metadata of an answer on, as soon as it comes.

    Empty initial metadata says no more than that a worker took the call, so it waits a moment for
    the first message.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self.sent = False
        """Something was sent; it can't be called back."""

    async def send(self, metadata: Any) -> None:
        """Send it; the empty one later, unless a message or the end comes first."""
        if metadata:
            self.sent = True
            await self._context.send_initial_metadata(tuple(metadata))
        else:
            self._wait(EMPTY_HEAD_TURNS)

    async def done(self) -> None:
        """To be awaited before anything else is sent: grpc.aio takes one at a time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sending is not None:
            sending, self._sending = self._sending, None
            await sending

    def _wait(self, turns: int) -> None:
        if turns:
            loop = asyncio.get_running_loop()
            pause = EMPTY_HEAD_WAIT / EMPTY_HEAD_TURNS
            self._timer = loop.call_later(pause, self._wait, turns - 1)
        else:
            self._send_empty()

    def _send_empty(self) -> None:
        self.sent = True
        self._sending = asyncio.create_task(self._context.send_initial_metadata(()))
