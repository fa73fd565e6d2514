"""Sends the requests of a stream while the answers are read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Self

import grpc
import grpc.aio

#: What grpc.aio says when a request can't be sent because the call has ended.
_OVERWRITTEN: Final = "Internal error from Core"
#: Seconds within which the true status follows.
_TRUTH_TIMEOUT: Final = 1.0


class Sender:
    """Sends requests in a task of its own, for as long as its block runs.

    grpc.aio can do this itself, with two faults: a call that the server ends while requests are
    being sent fails INTERNAL, or with the caller cancelled, whatever the server said; and an
    exception of the caller's generator is lost.
    """

    def __init__(self, call: Any, requests: AsyncGenerator[bytes, None]) -> None:
        self.call = call
        self._told_by = call
        """The call that knows the true status."""
        self._requests = requests
        self._task: asyncio.Task[None]
        self.failure: Exception | None = None
        """What the caller's own generator raised."""
        self.first_status: grpc.aio.AioRpcError | None = None
        """The first status that the call had: a request that can't be sent overwrites it."""

    async def __aenter__(self) -> Self:
        self.call.add_done_callback(self._note)
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.call.cancel()
        # It may wait for a request that the call, which has ended, needs no more.
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self._requests.aclose()

    async def reraise(self, failure: BaseException) -> None:
        """Raise why the call failed, given what grpc.aio raised; return when it ended well."""
        if self.failure is not None:
            raise self.failure from None
        if not isinstance(failure, grpc.aio.AioRpcError) or failure.details() != _OVERWRITTEN:
            raise failure
        # The true status came before, and was overwritten, or comes in a moment.
        truth = self.first_status
        deadline = asyncio.get_running_loop().time() + _TRUTH_TIMEOUT
        while truth is None or truth.details() == _OVERWRITTEN:
            if asyncio.get_running_loop().time() > deadline:
                raise failure
            await asyncio.sleep(0.001)
            truth = final_status(self._told_by)
        if truth.code() is not grpc.StatusCode.OK:
            raise truth

    async def _send(self) -> None:
        while True:
            try:
                request = await anext(self._requests)
            except StopAsyncIteration:
                break
            except Exception as failure:
                self.failure = failure
                self.call.cancel()
                return
            try:
                await self.call.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                # The call has ended; its status says why.
                return
        try:
            await self.call.done_writing()
        except grpc.aio.InternalError:
            return

    def _note(self, call: Any) -> None:
        # Older grpcio tells every status.
        if self.first_status is None:
            self.first_status = final_status(call)


#: The sender whose call is being made; read where its interceptors end.
MAKING: ContextVar["IteratedSender"] = ContextVar("hsu_making")


class IteratedSender(Sender):
    """As `Sender`, for a call with interceptors: those get the requests as an iterator.

    grpc.aio does the sending then, so that what is said above of its faults is mended after.

    Args:
        make: Makes the call of its requests.

        requests: As bytes.

        parse: Makes the message of a request, which is what interceptors expect.
    """

    def __init__(
        self,
        make: Callable[[AsyncIterator[Any]], Any],
        requests: AsyncGenerator[bytes, None],
        parse: Callable[[bytes], Any],
    ) -> None:
        self._parse = parse
        self._next: asyncio.Future[bytes | None] | None = None
        making = MAKING.set(self)
        super().__init__(make(self._messages()), requests)
        MAKING.reset(making)

    def follow(self, call: Any) -> None:
        """Note the call that the interceptors lead to: a status that they see may be overwritten."""
        self._told_by = call
        call.add_done_callback(self._note)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.call.cancel()
        if self._next is not None:
            # grpc.aio may leave it waiting for a request that the call needs no more.
            self._next.cancel()
            await asyncio.wait((self._next,))
        await self._requests.aclose()

    async def reraise(self, failure: BaseException) -> None:
        """As of `Sender`; a cancellation that nobody asked for covers a status, too."""
        task = asyncio.current_task()
        if isinstance(failure, asyncio.CancelledError) and task is not None:
            status = self.first_status
            if not task.cancelling() and self.failure is None and status is not None:
                raise status
        await super().reraise(failure)

    async def _messages(self) -> AsyncGenerator[Any, None]:
        try:
            while True:
                self._next = asyncio.ensure_future(anext(self._requests, None))
                request = await self._next
                if request is None:
                    return
                yield self._parse(request)
        except Exception as failure:
            self.failure = failure
            raise


def final_status(call: Any) -> grpc.aio.AioRpcError:
    """The status of a call that has ended."""
    return grpc.aio.AioRpcError(
        _now(call.code()),
        _now(call.initial_metadata()),
        _now(call.trailing_metadata()),
        _now(call.details()),
    )


def _now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    # These wait for the end of the call, so after it they return at once.
    try:
        coroutine.send(None)
    except StopIteration as returned:
        return returned.value
    coroutine.close()
    raise AssertionError("the call has ended")
