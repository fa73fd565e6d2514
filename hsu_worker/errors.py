"""What can go wrong, as classes.

`HsuError` is the root. `RpcError` has one subclass per gRPC status code; raised in a handler it is
raised again in the client as the same class, with the same message and details.
"""

from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import ClassVar

from google.protobuf.message import Message


class HsuError(Exception):
    """Root of all errors that hsu_worker raises on purpose."""


class Code(IntEnum):
    """The gRPC status codes that say something went wrong (google/rpc/code.proto)."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Dispatch(StrEnum):
    """Whether a failed call reached a worker.

    NO: it was never written to a channel, or the worker refused it before any handler saw it.
    YES: something came back that only a worker that took the call can send.
    UNKNOWN: the rest, such as a connection that broke.
    """

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class RpcError(HsuError):
    """A call that ended with a status other than OK.

    Raise one of the subclasses in a handler:

        if not request.text:
            raise InvalidArgument("text is empty")

    Args:
        message: One sentence for the caller; it crosses the wire as it is.

        details: Messages for programs, such as `google.rpc.error_details_pb2.ErrorInfo`. In a
            client, a detail of a type that the program hasn't imported is a `google.protobuf.Any`.

        dispatched: Whether the call reached a worker. Set by whoever knows; a handler leaves it.
    """

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(
        self,
        message: str = "",
        *,
        details: Sequence[Message] = (),
        dispatched: Dispatch = Dispatch.YES,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.dispatched = dispatched

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}" if self.message else self.code.name


class Cancelled(RpcError):
    """The caller gave up."""

    code = Code.CANCELLED


class Unknown(RpcError):
    """A failure of which nothing more is known."""

    code = Code.UNKNOWN


class InvalidArgument(RpcError):
    """The request is wrong, whatever state the worker is in."""

    code = Code.INVALID_ARGUMENT


class DeadlineExceeded(RpcError):
    """The time for the call ran out."""

    code = Code.DEADLINE_EXCEEDED


class NotFound(RpcError):
    """What was asked for does not exist."""

    code = Code.NOT_FOUND


class AlreadyExists(RpcError):
    """What should be made exists."""

    code = Code.ALREADY_EXISTS


class PermissionDenied(RpcError):
    """The caller is known, and may not do this."""

    code = Code.PERMISSION_DENIED


class ResourceExhausted(RpcError):
    """A quota, a queue or a size limit is used up."""

    code = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(RpcError):
    """The state has to change before the call can work; trying again alone doesn't help."""

    code = Code.FAILED_PRECONDITION


class Aborted(RpcError):
    """Something else got in between; try again from the beginning."""

    code = Code.ABORTED


class OutOfRange(RpcError):
    """The request goes past the end."""

    code = Code.OUT_OF_RANGE


class Unimplemented(RpcError):
    """The worker has no such method."""

    code = Code.UNIMPLEMENTED


class Internal(RpcError):
    """A bug in the worker; the message holds the id under which the log has the traceback."""

    code = Code.INTERNAL


class Unavailable(RpcError):
    """The worker can't answer now; trying again may help."""

    code = Code.UNAVAILABLE


class DataLoss(RpcError):
    """Data is lost or damaged for good."""

    code = Code.DATA_LOSS


class Unauthenticated(RpcError):
    """The token is missing or wrong."""

    code = Code.UNAUTHENTICATED


#: The subclass of each code.
RPC_ERRORS: dict[Code, type[RpcError]] = {
    subclass.code: subclass for subclass in RpcError.__subclasses__()
}


class InterfaceMismatch(HsuError):
    """A class does not do what its interface says. The message lists every difference."""


class AppError(HsuError):
    """Services that can't be served together, or something that is no service."""


class LoadError(HsuError):
    """An import string that leads to nothing that can be served."""


class AddressError(HsuError):
    """An address that can't be used."""


class MalformedAddress(AddressError):
    """An address that is none, or none for this purpose. The message shows what to write."""


class LaunchError(HsuError):
    """A launch that can't work: variables that a worker can't use, a command that can't be run, an
    announce line that isn't one.
    """


class ConfigError(HsuError):
    """A configuration that can't be used. The message lists every mistake."""


class UnknownUnit(ConfigError):
    """A unit that the master has not. The message names those that it has."""


class NoMaster(HsuError):
    """No running master was found, or several, or it doesn't let us in. The message shows the cure."""


class CodegenError(HsuError):
    """A `.proto` that doesn't compile, or from which no Python can be made."""


class ScaffoldError(HsuError):
    """A project or an interface that can't be made. The message lists every reason."""


class BadName(ScaffoldError):
    """A name that a project or an interface can't have; there may be further reasons."""


class HandshakeError(HsuError):
    """A worker that is not the one that was asked for. The message names what differs."""


class StartError(Unavailable):
    """A unit could not be started. The message holds the reason and the last lines of output."""

    def __init__(self, message: str, *, details: Sequence[Message] = ()) -> None:
        super().__init__(message, details=details, dispatched=Dispatch.NO)
