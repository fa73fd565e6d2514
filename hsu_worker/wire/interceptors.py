"""Client interceptors of grpc.aio in front of a connection."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeAlias
from weakref import WeakSet

import grpc
import grpc.aio

from hsu_worker.wire.connection import Connection, Lease
from hsu_worker.wire.metadata import Metadata
from hsu_worker.wire.sender import MAKING

#: What every one of grpc.aio's four kinds is derived from.
ClientInterceptor: TypeAlias = grpc.aio.ClientInterceptor

#: As interceptors of each kind are called.
_Intercept: TypeAlias = Callable[[Callable[..., Awaitable[Any]], Any, Any], Awaitable[Any]]

_KINDS: Final[dict[type[ClientInterceptor], str]] = {
    grpc.aio.UnaryUnaryClientInterceptor: "intercept_unary_unary",
    grpc.aio.UnaryStreamClientInterceptor: "intercept_unary_stream",
    grpc.aio.StreamUnaryClientInterceptor: "intercept_stream_unary",
    grpc.aio.StreamStreamClientInterceptor: "intercept_stream_stream",
}


class Raised(grpc.aio.AioRpcError):
    """What an interceptor raised, in the only form that every grpc.aio takes from it."""

    def __init__(self, error: Exception) -> None:
        empty = grpc.aio.Metadata()
        super().__init__(grpc.StatusCode.UNKNOWN, empty, empty, repr(error))
        self.error = error


def intercepted(lease: Lease, interceptors: Sequence[ClientInterceptor]) -> Lease:
    """The same lease; calls over what it lends go through the interceptors, the first one first."""

    @asynccontextmanager
    async def through(deadline: float | None, /) -> AsyncGenerator[Connection, None]:
        async with lease(deadline) as lent:
            yield behind(lent, interceptors)

    return through if interceptors else lease


def behind(connection: Connection, interceptors: Sequence[ClientInterceptor]) -> Connection:
    """A connection to the same server whose calls go through the interceptors.

    It has a channel of its own, as the interceptors of a channel are for all of its calls. It is
    made once, and closed with the other.
    """
    if not interceptors:
        return connection
    key = (connection.metadata, *map(id, interceptors))
    if key not in connection.further:
        channel = grpc.aio.insecure_channel(
            connection.target,
            options=connection.options,
            interceptors=_adapted(interceptors, connection.metadata),
        )
        connection.further[key] = replace(
            connection,
            channel=channel,
            # Its last interceptors add them.
            metadata=(),
            streams=WeakSet(),
            further={},
            is_intercepted=True,
        )
    return connection.further[key]


def check_interceptors(interceptors: Sequence[object]) -> None:
    """Refuse what can't intercept the calls of a client.

    Raises:
        TypeError: Something is no client interceptor of grpc.aio.
    """
    for given in interceptors:
        if isinstance(given, type):
            raise TypeError(
                f"interceptors: {given.__qualname__} is a class; write {given.__qualname__}()"
            )
        if not isinstance(given, tuple(_KINDS)):
            raise TypeError(
                f"interceptors: {type(given).__qualname__} is none; derive it from "
                "grpc.aio.UnaryUnaryClientInterceptor, or from that of another kind of call"
            )


def _adapted(
    interceptors: Sequence[ClientInterceptor], metadata: Metadata
) -> list[ClientInterceptor]:
    """The interceptors as a channel takes them.

    grpc.aio asks one that is of several kinds for the first kind alone, so each kind gets one of
    its own. The last of each adds `metadata`: it holds the token, which nobody else has to see.
    """

    async def add(continuation: Callable[..., Awaitable[Any]], details: Any, request: Any) -> Any:
        whole = grpc.aio.ClientCallDetails(
            details.method,
            details.timeout,
            grpc.aio.Metadata(*metadata, *iter(details.metadata or ())),
            details.credentials,
            details.wait_for_ready,
        )
        return await continuation(whole, request)

    async def add_to_stream(
        continuation: Callable[..., Awaitable[Any]], details: Any, requests: Any
    ) -> Any:
        call = await add(continuation, details, requests)
        MAKING.get().follow(call)
        return call

    return [
        _of_one_kind(kind, name, intercept)
        for kind, name in _KINDS.items()
        for intercept in (
            _guarded,
            *(getattr(each, name) for each in interceptors if isinstance(each, kind)),
            add_to_stream if "intercept_stream" in name else add,
        )
    ]


async def _guarded(continuation: Callable[..., Awaitable[Any]], details: Any, request: Any) -> Any:
    try:
        return await continuation(details, request)
    except grpc.aio.AioRpcError:
        raise
    except Exception as error:
        raise Raised(error) from error


def _of_one_kind(
    kind: type[ClientInterceptor], name: str, intercept: _Intercept
) -> ClientInterceptor:
    interceptor: ClientInterceptor = type(kind.__name__, (kind,), {name: staticmethod(intercept)})()
    return interceptor
