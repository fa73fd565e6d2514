"""The status of a worker as it goes on to the caller: intact, if a client can take it at all."""

from typing import Any, Final

import grpc
import grpc.aio

from hsu_worker.errors import Dispatch
from hsu_worker.wire.metadata import DISPATCHED
from hsu_worker.wire.status import sendable_message, sent_size

#: Bytes of trailers that every client takes; over them it drops the status with its code.
MAX_STATUS: Final = 8 << 10
#: Of these, what the protocol needs for itself.
_PROTOCOL: Final = 256
#: What HTTP/2 counts for each pair, beside name and value.
_PER_PAIR: Final = 32


def sendable(
    status: grpc.aio.AioRpcError, dispatched: Dispatch
) -> tuple[grpc.StatusCode, str, tuple[tuple[str, str | bytes], ...]]:
    """Code, message and trailers, as `context.abort` takes them.

    Of what is too large for a client the message is cut, and trailers that don't fit are left out.

    Args:
        status: The worker's, or what grpc itself says of a connection that broke.

        dispatched: What is known of the call; told unless the worker told it, or it follows from
            the status.
    """
    # iter: pairs, in every version of grpcio.
    trailers: list[tuple[str, Any]] = list(iter(status.trailing_metadata() or ()))
    message = status.details() or ""
    if dispatched is not Dispatch.YES and all(name != DISPATCHED for name, _ in trailers):
        trailers.append((DISPATCHED, dispatched.value))
    room = MAX_STATUS - _PROTOCOL
    if _size("", message) + sum(_size(*pair) for pair in trailers) <= room:
        return status.code(), message, tuple(trailers)
    message = sendable_message(message)
    room -= _size("", message)
    kept: list[tuple[str, Any]] = []
    for pair in sorted(trailers, key=lambda pair: pair[0] != DISPATCHED):
        if _size(*pair) <= room:
            room -= _size(*pair)
            kept.append(pair)
    return status.code(), message, tuple(kept)


def _size(name: str, value: str | bytes) -> int:
    # Bytes travel as base64.
    length = len(value) * 4 // 3 + 4 if isinstance(value, bytes) else sent_size(value)
    return len(name) + length + _PER_PAIR
