"""Asks grpc.health.v1, without an event loop: a probe starts often, and does one thing."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from hsu_worker.cli._asking import plain
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import channel_options
from hsu_worker.wire.status import system_words

#: Seconds in which a channel tells whether it has a connection.
_LOOK: Final = 0.1


class NoAnswer(Exception):
    """There is no answer."""

    def __init__(self, message: str, *, connected: bool) -> None:
        super().__init__(message)
        self.connected = connected
        """The server was reached."""


def health(address: Address, name: str, timeout: float) -> str:
    """The health of a server (name: empty), or of one of its interfaces: `SERVING`.

    Raises:
        NoAnswer: There is none within the timeout, in seconds.
    """
    with _asking(address, "Check", timeout) as ask:
        return _status(ask("unary_unary")(_request(name), timeout=timeout))


def health_changes(address: Address, name: str, timeout: float) -> Iterator[str]:
    """As `health`, and then whenever it changes, until the server ends it.

    Raises:
        NoAnswer: There is no first answer within the timeout, or the connection to a server that
            was SERVING broke.
    """
    status = "SERVING"
    with _asking(address, "Watch", timeout) as ask:
        call = ask("unary_stream")(_request(name))
        late = threading.Timer(timeout, call.cancel)
        late.daemon = True
        late.start()
        try:
            for answer in call:
                late.cancel()
                status = _status(answer)
                yield status
        except grpc.RpcError:
            # One that leaves has told so, and may be gone before the stream's end is sent.
            if status == "SERVING" or call.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        finally:
            late.cancel()
            call.cancel()


@contextmanager
def _asking(
    address: Address, method: str, timeout: float
) -> Generator[Callable[[str], Callable[..., Any]], None, None]:
    channel = grpc.insecure_channel(address.target, options=channel_options(address))

    def ask(kind: str) -> Callable[..., Any]:
        made: Callable[..., Any] = getattr(channel, kind)(
            f"/grpc.health.v1.Health/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        return made

    try:
        yield ask
    except grpc.RpcError as error:
        raise _no_answer(error, address, timeout, channel) from None
    finally:
        channel.close()


def _no_answer(error: Any, address: Address, timeout: float, channel: grpc.Channel) -> NoAnswer:
    code: grpc.StatusCode = error.code()
    said = plain(error.details() or "")
    if code is grpc.StatusCode.UNAVAILABLE:
        problem = f"nothing answers at {address}: {system_words(said)}"
        return NoAnswer(problem, connected=False)
    # CANCELLED is our own doing: the first answer of a Watch was late.
    if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        connected = _is_connected(channel)
        what = "has not answered" if connected else "can't be reached"
        return NoAnswer(f"{address} {what} within {timeout:g} s", connected=connected)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return NoAnswer(f"{address} has no grpc.health.v1.Health", connected=True)
    return NoAnswer(f"{address}: {code.name}: {said}", connected=True)


def _is_connected(channel: grpc.Channel) -> bool:
    try:
        grpc.channel_ready_future(channel).result(timeout=_LOOK)
    except grpc.FutureTimeoutError:
        return False
    return True


def _request(name: str) -> Any:
    return health_pb2.HealthCheckRequest(service=name)


def _status(answer: Any) -> str:
    names = health_pb2.HealthCheckResponse.ServingStatus
    return str(names.Name(answer.status)) if answer.status in names.values() else "UNKNOWN"
