"""`RpcError` to a gRPC status with details, and back."""

import importlib
import re
from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.message import Message

from hsu_worker.errors import RPC_ERRORS, Code, Dispatch, RpcError, StartError
from hsu_worker.wire.metadata import DISPATCHED, ERROR_DOMAIN, STATUS_DETAILS, Metadata

#: grpc's names of our codes.
GRPC_CODES = {code: grpc.StatusCode[code.name] for code in Code}
_CODES = {grpc_code: code for code, grpc_code in GRPC_CODES.items()}

#: The reason in the ErrorInfo of a `StartError`, by which the other end knows it.
START_FAILED: Final = "START_FAILED"

#: Bytes on the wire of a message, and of its details. Both together stay under the 8 KiB of
#: metadata that every client takes.
MAX_MESSAGE = 2 << 10
MAX_DETAILS = 4 << 10

#: How grpc begins the message of a call for which there was no connection (its pick_first and
#: round_robin policies have it from one place; a test holds it against each grpc that we run on).
_NOT_CONNECTED = "failed to connect to all addresses; last error: "

#: What it says of a server that speaks something else.
_NO_GRPC: Final = "Failed parsing HTTP/2"

#: What an older grpc puts behind the system's words.
_NUMBER = re.compile(r" \(\d+\)$")

#: What grpc says of a call whose deadline has passed here; a newer one puts words around it.
_LATE: Final = "Deadline Exceeded"

#: How the system says that a connection has ended under a call.
_BROKEN: Final = ("Socket closed", "Connection reset by peer", "Broken pipe")

#: How we say so.
_BROKE: Final = "the connection broke: "

#: What grpc says of a message over the limit, at either end, received or decompressed; not what to do
#: about it.
_TOO_LARGE: Final = " message larger than max"

#: Codes that grpc itself makes up at the client, without a word from a worker.
_LOCAL = frozenset(
    {
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.CANCELLED,
        Code.INTERNAL,
        Code.UNKNOWN,
        Code.RESOURCE_EXHAUSTED,
    }
)


def error_info(reason: str, **metadata: str) -> Any:
    """A google.rpc.ErrorInfo of ours."""
    from google.rpc.error_details_pb2 import ErrorInfo

    return ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=metadata)


def retry_info(seconds: float) -> Any:
    """A google.rpc.RetryInfo: when to try again, in seconds from now."""
    from google.protobuf.duration_pb2 import Duration
    from google.rpc.error_details_pb2 import RetryInfo

    delay = Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return RetryInfo(retry_delay=delay)


def to_status(error: RpcError) -> tuple[grpc.StatusCode, str, Metadata]:
    """The code, the message and the trailers that carry an error, as `context.abort` takes them.

    A client drops a call whose trailers are over 8 KiB, and its code with it. So a long message is
    cut, and details that don't fit are left out; both are better than another code.
    """
    return GRPC_CODES[error.code], sendable_message(error.message), to_trailers(error)


def to_trailers(error: RpcError) -> Metadata:
    """The trailers that carry an error's details, as far as they fit, and its dispatch."""
    trailers: list[tuple[str, str | bytes]] = [(DISPATCHED, error.dispatched.value)]
    details = error.details
    if isinstance(error, StartError) and not _is_start_error(details):
        details = (*details, error_info(START_FAILED))
    if details:
        # Imported here: a worker that raises no details doesn't pay for google.rpc.
        from google.rpc.status_pb2 import Status

        status = Status(code=int(error.code), message=sendable_message(error.message))
        for detail in details:
            if isinstance(detail, PackedAny):
                status.details.append(detail)  # one that this program couldn't read either
            else:
                status.details.add().Pack(detail)
            if status.ByteSize() > MAX_DETAILS:
                del status.details[-1]
        trailers.append((STATUS_DETAILS, status.SerializeToString()))
    return tuple(trailers)  # grpc.aio takes nothing else


def sendable_message(message: str) -> str:
    """The message, without what UTF-8 can't hold, and as much of it as the trailers take."""
    message = message.encode("utf-8", "replace").decode()
    room = MAX_MESSAGE
    for i, char in enumerate(message):
        room -= sent_size(char)
        if room < 0:
            return f"{message[:i]}..."
    return message


def sent_size(text: str) -> int:
    """Bytes that a message takes on the wire: three for each that is not printable ASCII, or `%`."""
    plain = sum(" " <= char <= "~" and char != "%" for char in text)
    return plain + 3 * (len(text.encode("utf-8", "replace")) - plain)


def from_grpc(error: grpc.aio.AioRpcError, *, answered: bool = False, target: str = "") -> RpcError:
    """The `RpcError` of a failed call.

    Args:
        error: What `grpc.aio` raised.

        answered: A message of the call had arrived.

        target: What the channel dials, as grpc writes it; empty when that is not known.
    """
    code = _CODES.get(error.code(), Code.UNKNOWN)
    # Without iter, dict asks for keys(), which are pairs in the oldest grpcio that we run on.
    trailers: dict[str, str | bytes] = dict(iter(error.trailing_metadata() or ()))
    told = trailers.get(DISPATCHED)
    if answered:
        dispatched = Dispatch.YES
    elif isinstance(told, str) and told in tuple(Dispatch):
        dispatched = Dispatch(told)
    elif code is Code.UNAVAILABLE and target and _never_sent(error.details() or "", target):
        dispatched = Dispatch.NO
    elif error.initial_metadata() or code not in _LOCAL:
        dispatched = Dispatch.YES
    else:
        dispatched = Dispatch.UNKNOWN
    message = _in_plain_words(code, error.details() or "")
    if code is Code.RESOURCE_EXHAUSTED and _TOO_LARGE in message:
        message += ": send less, or raise App(limits=Limits(message_bytes=...))"
    details = _details(trailers.get(STATUS_DETAILS))
    if code is Code.UNAVAILABLE and _is_start_error(details):
        failed = StartError(message, details=details)
        failed.dispatched = dispatched
        return failed
    return RPC_ERRORS[code](message, details=details, dispatched=dispatched)


def _in_plain_words(code: Code, message: str) -> str:
    end = _NUMBER.sub("", message.removesuffix(")"))
    if code is Code.DEADLINE_EXCEEDED and end.endswith(_LATE):
        return "no answer within the deadline"
    if code is Code.UNAVAILABLE and not message.startswith(_NOT_CONNECTED):
        for broken in _BROKEN:
            if end.endswith(broken):
                return f"{_BROKE}{broken}"
    return message


def _is_start_error(details: Sequence[Message]) -> bool:
    return any(
        getattr(detail, "reason", "") == START_FAILED
        and getattr(detail, "domain", "") == ERROR_DOMAIN
        for detail in details
    )


def _never_sent(details: str, target: str) -> bool:
    """Whether grpc says that it never had a connection to the target.

    A worker that passes on what its own client was told says so of another address.
    """
    return details.startswith(_NOT_CONNECTED) and f"{target}:" in details


def is_broken(error: RpcError) -> bool:
    """Whether the connection has ended under the call."""
    return error.code is Code.UNAVAILABLE and error.message.startswith(_BROKE)


def no_connection(error: RpcError) -> str:
    """Why there was no connection, in the system's words; empty when the call had one."""
    if error.dispatched is Dispatch.NO and error.message.startswith(_NOT_CONNECTED):
        return system_words(error.message)
    return ""


def system_words(message: str) -> str:
    """The end of what grpc says of a connection: `Connection refused`."""
    if _NO_GRPC in message:
        return "what listens there speaks no gRPC"
    return _NUMBER.sub("", message.rpartition(": ")[2])


def _details(data: str | bytes | None) -> tuple[Message, ...]:
    if not isinstance(data, bytes):
        return ()
    from google.protobuf import descriptor_pool, message_factory
    from google.protobuf.message import DecodeError
    from google.rpc.status_pb2 import Status

    importlib.import_module("google.rpc.error_details_pb2")  # makes its types known
    pool = descriptor_pool.Default()
    try:
        status = Status.FromString(data)
    except DecodeError:
        return ()
    details: list[Message] = []
    for packed in status.details:
        try:
            kind = pool.FindMessageTypeByName(packed.TypeName())
            details.append(message_factory.GetMessageClass(kind).FromString(packed.value))
        except (KeyError, DecodeError):
            details.append(packed)
    return tuple(details)
