"""Calls as bytes, and all that a caller sees of how they end."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.rpc.error_details_pb2 import ErrorInfo

from hsu_worker.wire.client import FAILURES
from hsu_worker.wire.connection import Connection
from hsu_worker.wire.metadata import DISPATCHED, Metadata
from hsu_worker.wire.sender import Sender, final_status
from hsu_worker.wire.status import from_grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a call ended."""

    code: str
    """The status as gRPC names it, such as `UNAVAILABLE`."""
    message: str
    trailers: Mapping[str, str | bytes]
    bodies: Sequence[bytes]
    reason: str
    """Of its google.rpc.ErrorInfo, with the domain, such as `hsu NOT_RUNNING`."""
    seconds: float

    @property
    def dispatched(self) -> str:
        """The trailer; empty: there is none."""
        return str(self.trailers.get(DISPATCHED, ""))

    def __str__(self) -> str:
        facts = [
            f"{self.code} {self.message!r}" if self.message else self.code,
            f"{DISPATCHED}: {self.dispatched}" if self.dispatched else f"no {DISPATCHED}",
            f"ErrorInfo {self.reason}" if self.reason else "",
            f"{len(self.bodies)} answers" if self.bodies else "",
            f"after {self.seconds:.2f} s",
        ]
        return ", ".join(filter(None, facts))


async def ask(
    connection: Connection,
    path: str,
    requests: Sequence[bytes] | AsyncGenerator[bytes, None] = (b"",),
    *,
    streams: bool = False,
    metadata: Metadata | None = None,
    compression: grpc.Compression = grpc.Compression.NoCompression,
    timeout: float | None,
) -> Answer:
    """Make a call to its end; it is cancelled if this is.

    Args:
        connection: To the worker.

        path: Such as `/hsu.a.v1.InterfaceA/Summarize`.

        requests: The one, or those of a stream.

        streams: The method takes a stream of requests.

        metadata: What is sent instead of the connection's own.

        compression: Of the requests.

        timeout: The call's deadline, in seconds.
    """
    channel: Any = connection.channel
    sent = grpc.aio.Metadata(*(connection.metadata if metadata is None else metadata))
    how: dict[str, Any] = {"metadata": sent, "compression": compression, "timeout": timeout}
    bodies: list[bytes] = []
    began = time.monotonic()
    try:
        if streams or not isinstance(requests, Sequence):
            given = requests if isinstance(requests, AsyncGenerator) else _each(requests)
            call = channel.stream_stream(path)(**how)
            async with Sender(call, given) as sender:
                try:
                    async for body in call:
                        bodies.append(body)  # noqa: PERF401  those before a failure count
                except FAILURES as failure:
                    await sender.reraise(failure)
                status = final_status(call)
        else:
            # A server can't tell it from a call that wants one answer.
            call = channel.unary_stream(path)(requests[0], **how)
            try:
                async for body in call:
                    bodies.append(body)  # noqa: PERF401
            finally:
                call.cancel()
            status = final_status(call)
    except grpc.aio.AioRpcError as failure:
        status = failure
    return _answer(status, bodies, time.monotonic() - began)


async def _each(requests: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for request in requests:
        yield request


def _answer(status: grpc.aio.AioRpcError, bodies: list[bytes], seconds: float) -> Answer:
    failed = status.code() is not grpc.StatusCode.OK
    infos = [
        f"{detail.domain} {detail.reason}"
        for detail in (from_grpc(status).details if failed else ())
        if isinstance(detail, ErrorInfo)
    ]
    return Answer(
        code=status.code().name,
        message=status.details() or "",
        # Without iter, dict asks for keys(), which are pairs in the oldest grpcio that we run on.
        trailers=dict(iter(status.trailing_metadata() or ())),
        bodies=bodies,
        reason=infos[0] if infos else "",
        seconds=seconds,
    )
