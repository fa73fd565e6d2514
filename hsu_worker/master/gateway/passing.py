"""One call on its way through the master: bytes in, bytes out, and nothing of them is parsed."""

from typing import Any

import grpc
import grpc.aio

from hsu_worker.errors import Dispatch, RpcError
from hsu_worker.master.gateway.caller import Head, caller_requests
from hsu_worker.master.gateway.passed_status import sendable
from hsu_worker.serving.admission import Context
from hsu_worker.wire.client import FAILURES, MAX_TRIES, call_error, explained, may_retry, time_left
from hsu_worker.wire.connection import Connection, Lease
from hsu_worker.wire.metadata import Metadata
from hsu_worker.wire.sender import Sender, final_status


class Passing:
    """One call that is passed on, to a worker that a lease lends.

    Args:
        context: The caller's side.

        path: Such as `/hsu.a.v1.InterfaceA/Summarize`.

        metadata: What the worker is to read of the caller's metadata.

        deadline: The call's, in the running loop's time; None: it has none.
    """

    def __init__(
        self, context: Context, path: str, metadata: Metadata, deadline: float | None
    ) -> None:
        self._context = context
        self._path = path
        self._metadata = metadata
        self._deadline = deadline
        self._requests = caller_requests(context)
        self._head = Head(context)
        #: A message of the answer was passed on.
        self._answered = False

    async def run(self, lease: Lease, until: float | None) -> None:
        """Pass the call on; again, if it provably did not reach a worker.

        Args:
            lease: Lends the worker's connection.

            until: The lease's deadline.

        Raises:
            AbortError: It ended with the status of the worker, which was passed on.

            RpcError: It could not be passed on.
        """
        try:
            await self._try(lease, until)
        finally:
            await self._requests.aclose()

    async def _try(self, lease: Lease, until: float | None) -> None:
        for tries_left in reversed(range(MAX_TRIES)):
            lent: Connection | None = None
            try:
                # A failure leaves through the lease, whose owner has to know of it.
                async with lease(until) as lent:
                    await self._pass(lent)
            except (*FAILURES, RpcError) as failure:
                if lent is None:
                    raise
                error: BaseException = failure
                if not isinstance(failure, RpcError):
                    error = call_error(failure, lent, answered=self._answered)
                if tries_left and self._may_repeat(error):
                    continue
                told = await explained(error, lent, self._deadline)
                if told is not error:
                    raise told from None
                if isinstance(failure, grpc.aio.AioRpcError) and isinstance(error, RpcError):
                    await self._context.abort(*sendable(failure, error.dispatched))
                raise error from None
            else:
                return

    def _may_repeat(self, error: BaseException) -> bool:
        answered = self._answered or self._head.sent
        return may_retry(error) and not answered and self._requests.repeatable

    async def _pass(self, lent: Connection) -> None:
        channel: Any = lent.channel
        call = channel.stream_stream(self._path)(
            timeout=time_left(self._deadline),
            metadata=grpc.aio.Metadata(*lent.metadata, *self._metadata),
        )
        lent.streams.add(call)
        # Leaving it cancels a call that has not ended.
        async with Sender(call, self._requests.from_the_first()) as sender:
            try:
                await self._respond(call)
            except FAILURES as failure:
                await sender.reraise(failure)
            status = final_status(call)
            if status.code() is not grpc.StatusCode.OK and sender.first_status is not None:
                # grpc.aio wrote that a request could not be sent over a status that was OK.
                status = sender.first_status
        _, _, trailers = sendable(status, Dispatch.YES)
        self._context.set_trailing_metadata(trailers)

    async def _respond(self, call: Any) -> None:
        try:
            await self._head.send(await call.initial_metadata())
            async for body in call:
                await self._head.done()
                self._answered = True
                await self._context.write(body)
        finally:
            await self._head.done()
