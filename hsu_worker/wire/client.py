"""The base of every generated client: one coroutine or async generator per kind of call."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError, Message

from hsu_worker.errors import (
    Cancelled,
    DeadlineExceeded,
    Dispatch,
    Internal,
    RpcError,
    Unavailable,
)
from hsu_worker.interface import Method
from hsu_worker.wire.connection import Connection, Lease, lend
from hsu_worker.wire.interceptors import Raised
from hsu_worker.wire.metadata import CALL_ID, IDENTIFIED, Metadata, check_metadata
from hsu_worker.wire.sender import IteratedSender, Sender
from hsu_worker.wire.source import RequestSource as RequestSource
from hsu_worker.wire.source import Source
from hsu_worker.wire.status import from_grpc, is_broken

#: Tries of a call that provably has not reached a worker, the first one included.
MAX_TRIES = 3

#: Seconds that a call may take at the most: a few centuries overflow inside grpc, and mean "now".
MAX_TIMEOUT = 1e9

#: What a call that fails raises: grpc's own error; when the channel is closed under it, a
#: CancelledError; when it was closed before, a UsageError.
FAILURES = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.CancelledError)


class Tries:
    """The tries of one call: how many are left, and whether one of them may have run."""

    def __init__(self, method: Method, deadline: float | None = None) -> None:
        self._method = method
        self._deadline = deadline
        self._left = MAX_TRIES
        self._dispatched = Dispatch.NO

    async def failed(
        self, error: BaseException, lent: Connection | None, *, repeatable: bool = True
    ) -> None:
        """Return when the call may be made once more; else raise its error.

        Args:
            error: Why this try failed.

            lent: What it was made on; None: nothing was lent.

            repeatable: Its requests can be had again, and nothing was answered.
        """
        self._left -= 1
        again = lent is not None and not lent.retries and repeatable
        if again and self._left and may_retry(error, self._method):
            assert isinstance(error, RpcError)
            if error.dispatched is not Dispatch.NO:
                self._dispatched = error.dispatched
            return
        # What an earlier try may have done is not undone by a last one that reached nobody.
        if isinstance(error, RpcError) and error.dispatched is Dispatch.NO:
            error.dispatched = self._dispatched
        raise await explained(error, lent, self._deadline) from None


class Client:
    """Calls the methods of one interface over a lease.

    Generated subclasses add one typed method per rpc. Each takes the request (or the requests),
    `timeout` in seconds and `metadata`.

        async with grpc.aio.insecure_channel("127.0.0.1:7000") as channel:
            reply = await InterfaceAClient(channel).summarize(SummarizeRequest(text=text), timeout=5)

    Raises:
        RpcError: The subclass of the call's status, with the worker's message and details.
    """

    def __init__(self, lease: Lease | Connection | grpc.aio.Channel) -> None:
        self._lease: Lease = (
            lend(lease) if isinstance(lease, Connection | grpc.aio.Channel) else lease
        )
        # Calls that a worker makes while it handles one end with that one.
        self._deadline: Callable[[float | None], float | None] = getattr(
            self._lease, "deadline", _deadline
        )

    async def _unary_unary(
        self, method: Method, request: Message, timeout: float | None, metadata: Metadata
    ) -> Any:
        deadline = self._deadline(timeout)
        body = _body(method, request)
        tries = Tries(method, deadline)
        while True:
            lent: Connection | None = None
            # A failure goes through the lease, whose owner has to know that nobody answers there.
            try:
                async with self._lease(deadline) as lent:
                    return _parsed(method, await self._call(lent, method, deadline, metadata, body))
            except (RpcError, *FAILURES) as failure:
                await tries.failed(call_error(failure, lent), lent)

    async def _unary_stream(
        self, method: Method, request: Message, timeout: float | None, metadata: Metadata
    ) -> AsyncGenerator[Any, None]:
        deadline = self._deadline(timeout)
        body = _body(method, request)
        tries = Tries(method, deadline)
        while True:
            answered = False
            lent: Connection | None = None
            try:
                async with self._lease(deadline) as lent:
                    call = self._call(lent, method, deadline, metadata, body)
                    try:
                        async for response in call:
                            answered = True
                            yield _parsed(method, response)
                    finally:
                        # Whoever leaves the loop early means it: without this the worker goes on.
                        call.cancel()
            except (RpcError, *FAILURES) as failure:
                error = call_error(failure, lent, answered=answered)
                await tries.failed(error, lent, repeatable=not answered)
            else:
                return

    async def _stream_unary(
        self,
        method: Method,
        requests: RequestSource[Any],
        timeout: float | None,
        metadata: Metadata,
    ) -> Any:
        deadline = self._deadline(timeout)
        async with aclosing(Source(requests, partial(_body, method))) as source:
            tries = Tries(method, deadline)
            while True:
                lent: Connection | None = None
                try:
                    async with (
                        self._lease(deadline) as lent,
                        self._send(lent, method, deadline, metadata, source) as sender,
                    ):
                        try:
                            return _parsed(method, await sender.call)
                        except FAILURES as failure:
                            await sender.reraise(failure)
                except (RpcError, *FAILURES) as failure:
                    error = call_error(failure, lent)
                    await tries.failed(error, lent, repeatable=source.repeatable)

    async def _stream_stream(
        self,
        method: Method,
        requests: RequestSource[Any],
        timeout: float | None,
        metadata: Metadata,
    ) -> AsyncGenerator[Any, None]:
        deadline = self._deadline(timeout)
        async with aclosing(Source(requests, partial(_body, method))) as source:
            tries = Tries(method, deadline)
            while True:
                answered = False
                lent: Connection | None = None
                try:
                    async with (
                        self._lease(deadline) as lent,
                        self._send(lent, method, deadline, metadata, source) as sender,
                    ):
                        try:
                            async for response in sender.call:
                                answered = True
                                yield _parsed(method, response)
                        except FAILURES as failure:
                            await sender.reraise(failure)
                except (RpcError, *FAILURES) as failure:
                    error = call_error(failure, lent, answered=answered)
                    await tries.failed(error, lent, repeatable=not answered and source.repeatable)
                else:
                    return

    def _send(
        self,
        lent: Connection,
        method: Method,
        deadline: float | None,
        metadata: Metadata,
        source: Source,
    ) -> Sender:
        requests = source.from_the_first()
        make = partial(self._call, lent, method, deadline, metadata)
        if lent.is_intercepted:
            return IteratedSender(make, requests, method.request.FromString)
        return Sender(make(), requests)

    def _call(
        self,
        lent: Connection,
        method: Method,
        deadline: float | None,
        metadata: Metadata,
        *request: Any,
    ) -> Any:
        channel = lent.channel
        make: Any = (
            (channel.unary_unary, channel.unary_stream),
            (channel.stream_unary, channel.stream_stream),
        )[method.client_streaming][method.server_streaming]
        # No serializers: what they raise grpc.aio drops, and sends an empty message, or answers None.
        codecs: tuple[Any, ...] = ()
        if lent.is_intercepted:
            # Without an exception among them: the request was made of a message, the answer is kept.
            codecs = _serialized, partial(_parsed_or_kept, method)
            if not method.client_streaming:
                request = (method.request.FromString(request[0]),)
        call = make(method.path, *codecs)(
            *request, timeout=time_left(deadline), metadata=_join(lent, metadata)
        )
        if method.server_streaming:
            lent.streams.add(call)
        return call


def _body(method: Method, request: Any) -> bytes:
    if not isinstance(request, method.request):
        raise TypeError(
            f"{method.path} takes {method.request.__qualname__}, "
            f"and was called with {type(request).__qualname__}"
        )
    return request.SerializeToString()


def _parsed(method: Method, body: Any) -> Any:
    if body is None:
        # A stream of requests may end well and without an answer.
        raise Internal(f"{method.path} ended without an answer")
    try:
        return method.response.FromString(body)
    except DecodeError:
        raise Internal(
            f"the answer of {method.path} is no {method.response.DESCRIPTOR.full_name}"
        ) from None
    except TypeError:
        # Through interceptors comes a message.
        if isinstance(body, method.response):
            return body
        raise


def _serialized(request: Message) -> bytes:
    return request.SerializeToString()


def _parsed_or_kept(method: Method, body: bytes) -> Message | bytes:
    try:
        return method.response.FromString(body)
    except DecodeError:
        return body


def _deadline(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    try:
        return asyncio.get_running_loop().time() + timeout
    except TypeError:
        raise TypeError(f"timeout is a number of seconds, and was {timeout!r}") from None


def time_left(deadline: float | None) -> float | None:
    """Seconds until a deadline in the running loop's time; None: there is none.

    Raises:
        DeadlineExceeded: None are left.
    """
    if deadline is None:
        return None
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0:
        raise DeadlineExceeded("the time ran out before the call was sent", dispatched=Dispatch.NO)
    return min(left, MAX_TIMEOUT)


def _join(lent: Connection, metadata: Metadata) -> "grpc.aio.Metadata":
    check_metadata(metadata)
    joined = grpc.aio.Metadata(*lent.metadata, *metadata)
    call = IDENTIFIED.get(None)
    if call is not None and not joined.get_all(CALL_ID):
        joined.add(CALL_ID, call.id)
    return joined


def may_retry(error: BaseException, method: Method | None = None) -> bool:
    """Whether a call that failed with this may be made again; without a method: it may have effects."""
    if not isinstance(error, Unavailable):
        return False
    return error.dispatched is Dispatch.NO or (
        error.dispatched is Dispatch.UNKNOWN and method is not None and method.idempotent
    )


def call_error(
    failure: BaseException, lent: Connection | None, *, answered: bool = False
) -> BaseException:
    """The error of a call that failed; the failure itself when the caller was cancelled."""
    if isinstance(failure, RpcError):
        return failure
    if isinstance(failure, Raised):
        return failure.error
    if isinstance(failure, grpc.aio.AioRpcError):
        error = from_grpc(failure, answered=answered, target=lent.target if lent else "")
        if not isinstance(error, Cancelled) or error.dispatched is not Dispatch.UNKNOWN:
            return error
        # No handler said so, and the caller didn't: the server went away under the call.
        return _closed(answered)
    if isinstance(failure, grpc.aio.UsageError):
        return Unavailable(f"the connection can't be used: {failure}", dispatched=Dispatch.NO)
    task = asyncio.current_task()
    if task is None or task.cancelling():
        return failure
    # grpc cancels the calls of a channel that is closed, and means nobody's task.
    return _closed(answered)


async def explained(
    error: BaseException, lent: Connection | None, deadline: float | None
) -> BaseException:
    """The error that ends a call: how the worker ended, where its connection broke and that is known soon."""
    if lent is None or not (isinstance(error, RpcError) and is_broken(error)):
        return error
    with suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            if words := await lent.last_words():
                return Unavailable(words, details=error.details, dispatched=error.dispatched)
    return error


def _closed(answered: bool) -> Unavailable:
    return Unavailable(
        "the connection was closed before the answer was complete",
        dispatched=Dispatch.YES if answered else Dispatch.UNKNOWN,
    )
