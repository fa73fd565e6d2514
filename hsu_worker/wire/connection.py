"""A channel to a worker, and the loan of one."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias
from weakref import WeakSet

import grpc.aio

from hsu_worker.wire.address import Address
from hsu_worker.wire.metadata import Metadata, bearer

#: Bytes of metadata that our end of a connection takes from a peer that it knows.
METADATA_BYTES: Final = 1 << 20

Options: TypeAlias = tuple[tuple[str, int | str], ...]

#: Options of every channel of ours.
_CHANNEL_OPTIONS: Options = (
    # Retries are decided by what is known of the dispatch, not by status code.
    ("grpc.enable_retries", 0),
    # grpc's default makes the second attempt to connect wait for a second, and later ones for two
    # minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Named after what it was: the time that one attempt may take, on a slow network too.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # Two generations of a unit never share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    # A proxy named in the environment has no business between processes of one machine.
    ("grpc.enable_http_proxy", 0),
    # Of answers; between the two grpc refuses some by chance.
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES),
)

#: Options of a channel, or a server, that notices within a minute that its peer has vanished.
_KEEPALIVE_OPTIONS: Options = (
    ("grpc.keepalive_time_ms", 30_000),
    # grpc.keepalive_timeout_ms changes nothing: the end came after this one's default, a minute.
    ("grpc.http2.ping_timeout_ms", 20_000),
    # Otherwise the third ping without data, and each one after it, waits for a minute.
    ("grpc.http2.max_pings_without_data", 0),
)


def keepalive_options(address: Address) -> Options:
    """How a channel to an address, or a server there, asks whether its peer is still there."""
    # Nobody vanishes from this machine without a word; one who has been stopped by a debugger would seem to.
    return () if address.is_local else _KEEPALIVE_OPTIONS


def channel_options(address: Address) -> Options:
    """What every channel of ours to an address is opened with."""
    if not address.path:
        return _CHANNEL_OPTIONS
    # grpc's own is the path, escaped. Servers on Rust's h2 take that for malformed, and end the call.
    return (*_CHANNEL_OPTIONS, ("grpc.default_authority", "localhost"))


async def _nobody_knows() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Connection:
    """A channel, and the metadata that every call on it carries."""

    channel: grpc.aio.Channel
    # It holds the token.
    metadata: Metadata = field(default=(), repr=False)
    target: str = ""
    """What is dialled, as grpc writes it; empty when only the caller knows."""
    retries: bool = False
    """Who is at its other end makes a call again where that is right, as a gateway does."""
    # Streams of answers. Closing the channel of an older grpcio leaves those that nobody reads at
    # that moment, and then their readers wait for ever.
    streams: "WeakSet[Any]" = field(default_factory=WeakSet, repr=False, compare=False)
    options: Options = ()
    """The channel's, for further ones to the same server."""
    further: "dict[object, Connection]" = field(default_factory=dict, repr=False, compare=False)
    """Others to the same server, closed with this one."""
    is_intercepted: bool = False
    """Its interceptors see messages, so calls take and give those."""
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False, compare=False)
    """The channel's; None: nobody knows."""
    last_words: Callable[[], Awaitable[str]] = field(
        default=_nobody_knows, repr=False, compare=False
    )
    """After it broke: waits a moment for the end of who was at its other end, and tells it, or ""."""

    @classmethod
    def open(
        cls,
        address: Address,
        *,
        token: str = "",
        message_bytes: int = 4 << 20,
    ) -> "Connection":
        """Open a channel to a server that already listens.

        A channel made before the server listens would answer half a second late, by its backoff. That a server
        on another machine has vanished is noticed while a call waits for it.

        Args:
            address: Where the server listens.

            token: What the server asks for; empty when it asks for none.

            message_bytes: The largest message to receive, in bytes; sending is up to the server.
        """
        options: Options = (
            *channel_options(address),
            *keepalive_options(address),
            ("grpc.max_receive_message_length", message_bytes),
            ("grpc.max_send_message_length", -1),
        )
        channel = grpc.aio.insecure_channel(address.target, options=options)
        loop = asyncio.get_running_loop()
        return cls(channel, bearer(token), address.target, options=options, loop=loop)

    async def close(self) -> None:
        """Close the channel; a client fails the calls on it as UNAVAILABLE."""
        for other in self.further.values():
            await other.close()
        for call in tuple(self.streams):
            call.cancel()
        await self.channel.close()


class Lease(Protocol):
    """Lends a connection for the length of one call.

    A master's lease starts the unit when it has to, and counts the call. The argument is the
    call's deadline in the running loop's time, in seconds, or None; who can't lend before it raises
    `DeadlineExceeded`.
    """

    def __call__(self, deadline: float | None, /) -> AbstractAsyncContextManager[Connection]: ...


def lend(connection: Connection | grpc.aio.Channel) -> Lease:
    """A lease on a connection that is simply there."""
    lent = connection if isinstance(connection, Connection) else Connection(connection)

    @asynccontextmanager
    async def lease(_deadline: float | None, /) -> AsyncGenerator[Connection, None]:
        if lent.loop is not None:
            check_loop(lent.loop)
        yield lent

    return lease


def check_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Do nothing on the loop on which the channels were opened.

    Raises:
        RuntimeError: Another one runs; grpc.aio would fail in words of its own, or wait for ever.
    """
    if asyncio.get_running_loop() is not loop:
        raise RuntimeError(
            "this client belongs to another event loop; other threads take a blocking client, "
            "or asyncio.run_coroutine_threadsafe"
        )
