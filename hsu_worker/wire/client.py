"""The base of every generated client: one coroutine or async generator per kind of call."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc.aio
from google.protobuf.message import Message

from hsu_worker.errors import DeadlineExceeded, Dispatch, Unavailable
from hsu_worker.interface import Method
from hsu_worker.wire.connection import Connection, Lease, lend
from hsu_worker.wire.metadata import CALL_ID, CURRENT_CALL_ID, Metadata, check_metadata
from hsu_worker.wire.sender import RequestSource as RequestSource
from hsu_worker.wire.sender import Sender
from hsu_worker.wire.status import from_grpc

#: Tries of a call that provably has not reached a worker, the first one included.
MAX_TRIES = 3

#: What a call that fails raises: grpc's own error; when the channel is closed under it, a
#: CancelledError; when it was closed before, a UsageError.
_FAILURES = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.CancelledError)


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

    async def _unary_unary(
        self, method: Method, request: Message, timeout: float | None, metadata: Metadata
    ) -> Any:
        deadline = _deadline(timeout)
        for tries_left in reversed(range(MAX_TRIES)):
            async with self._lease(deadline) as lent:
                try:
                    return await self._call(lent, method, deadline, metadata, request)
                except _FAILURES as failure:
                    error = _mapped(failure)
                    if not (tries_left and _may_retry(error, method)):
                        raise error from None
        raise AssertionError("the last try returns or raises")

    async def _unary_stream(
        self, method: Method, request: Message, timeout: float | None, metadata: Metadata
    ) -> AsyncGenerator[Any, None]:
        deadline = _deadline(timeout)
        for tries_left in reversed(range(MAX_TRIES)):
            answered = False
            async with self._lease(deadline) as lent:
                try:
                    call = self._call(lent, method, deadline, metadata, request)
                    try:
                        async for response in call:
                            answered = True
                            yield response
                    finally:
                        # Whoever leaves the loop early means it: without this the worker goes on.
                        call.cancel()
                except _FAILURES as failure:
                    error = _mapped(failure, answered=answered)
                    if answered or not (tries_left and _may_retry(error, method)):
                        raise error from None
                else:
                    return

    async def _stream_unary(
        self,
        method: Method,
        requests: RequestSource[Any],
        timeout: float | None,
        metadata: Metadata,
    ) -> Any:
        deadline = _deadline(timeout)
        async with self._lease(deadline) as lent:
            try:
                call = self._call(lent, method, deadline, metadata)
                async with Sender(call, requests) as sender:
                    try:
                        return await call
                    except _FAILURES as failure:
                        await sender.reraise(failure)
            except _FAILURES as failure:
                raise _mapped(failure) from None

    async def _stream_stream(
        self,
        method: Method,
        requests: RequestSource[Any],
        timeout: float | None,
        metadata: Metadata,
    ) -> AsyncGenerator[Any, None]:
        deadline = _deadline(timeout)
        answered = False
        async with self._lease(deadline) as lent:
            try:
                call = self._call(lent, method, deadline, metadata)
                async with Sender(call, requests) as sender:
                    try:
                        async for response in call:
                            answered = True
                            yield response
                    except _FAILURES as failure:
                        await sender.reraise(failure)
            except _FAILURES as failure:
                raise _mapped(failure, answered=answered) from None

    def _call(
        self,
        lent: Connection,
        method: Method,
        deadline: float | None,
        metadata: Metadata,
        *request: Message,
    ) -> Any:
        channel = lent.channel
        make: Any = (
            (channel.unary_unary, channel.unary_stream),
            (channel.stream_unary, channel.stream_stream),
        )[method.client_streaming][method.server_streaming]
        return make(
            method.path,
            request_serializer=_serialize,
            response_deserializer=method.response.FromString,
        )(*request, timeout=_left(deadline), metadata=_join(lent, metadata))


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else asyncio.get_running_loop().time() + timeout


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0:
        raise DeadlineExceeded("the time ran out before the call was sent", dispatched=Dispatch.NO)
    return left


def _join(lent: Connection, metadata: Metadata) -> "grpc.aio.Metadata":
    check_metadata(metadata)
    joined = grpc.aio.Metadata(*lent.metadata, *metadata)
    call_id = CURRENT_CALL_ID.get(None)
    if call_id is not None and not joined.get_all(CALL_ID):
        joined.add(CALL_ID, call_id)
    return joined


def _may_retry(error: BaseException, method: Method) -> bool:
    if not isinstance(error, Unavailable):
        return False
    return error.dispatched is Dispatch.NO or (
        error.dispatched is Dispatch.UNKNOWN and method.idempotent
    )


def _mapped(failure: BaseException, *, answered: bool = False) -> BaseException:
    """The error of a call that failed; the failure itself when the caller was cancelled."""
    if isinstance(failure, grpc.aio.AioRpcError):
        return from_grpc(failure, answered=answered)
    if isinstance(failure, grpc.aio.UsageError):
        return Unavailable(f"the connection can't be used: {failure}", dispatched=Dispatch.NO)
    task = asyncio.current_task()
    if task is None or task.cancelling():
        return failure
    # grpc cancels the calls of a channel that is closed, and means nobody's task.
    return Unavailable(
        "the connection was closed before the answer was complete",
        dispatched=Dispatch.YES if answered else Dispatch.UNKNOWN,
    )
