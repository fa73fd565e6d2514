"""A gRPC server at an address of the launch contract."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Final

import grpc.aio

from hsu_worker.errors import AddressError
from hsu_worker.serving.dispatch import Dispatcher
from hsu_worker.serving.sockets import private_files, reserved
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import keepalive_options

#: Seconds that grpc's own stop may take. It is no drain, and no call should be left by then; but each
#: peer has to hear the goodbye and to answer it, and in a crowd a processor may come late.
STOP_GRACE: Final = 0.5
#: Milliseconds: clients may ask so often whether the connection is still there. The contract has twice
#: as many, and timers are not exact.
PING_INTERVAL: Final = 5_000


@asynccontextmanager
async def listening(
    dispatcher: Dispatcher,
    address: Address,
    *more: grpc.GenericRpcHandler,
    context: Context | None = None,
) -> AsyncGenerator[Address, None]:
    """Serve at an address while the block runs; gives the address that was bound.

        async with listening(dispatcher, Address.parse("tcp:127.0.0.1:0")) as bound:
            print(bound)    # tcp:127.0.0.1:40312

    Leaving the block ends what still runs at once: drain before you leave it.

    Args:
        dispatcher: Handles the calls.

        address: Where to listen; port 0 takes any free one.

        more: Handlers of paths that the dispatcher doesn't know; they are asked first.

        context: What all handlers see of context variables; None: what is seen here.

    Raises:
        AddressError: The address is in use, or can't be listened on.
    """
    limits = dispatcher.limits
    with reserved(address):
        server = grpc.aio.server(
            handlers=(*more, dispatcher),
            options=(
                # grpc's default lets a second server share a TCP port, silently.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", limits.message_bytes),
                # Checked by the dispatch, whose message says what to do.
                ("grpc.max_send_message_length", -1),
                # Between the two grpc refuses some calls by chance.
                ("grpc.max_metadata_size", limits.metadata_bytes),
                ("grpc.absolute_max_metadata_size", limits.metadata_bytes),
                *keepalive_options(address),
                # Without these grpc closes connections whose client asks every 30 s as well.
                ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL),
                ("grpc.keepalive_permit_without_calls", 1),
            ),
        )
        try:
            with private_files():
                port = server.add_insecure_port(address.target)
        except RuntimeError as error:
            raise AddressError(f"address {address}: can't listen there: {error}") from None
        # The tasks of the calls are made by one that this makes, and inherit its context.
        starting = asyncio.create_task(server.start(), context=context)
        try:
            # A start that is cancelled halfway would leave a server that nobody can stop.
            await asyncio.shield(starting)
            yield address if address.is_unix else Address(host=address.host, port=port)
        finally:
            await asyncio.shield(_stop(server, starting))
            dispatcher.slots.close()


async def _stop(server: grpc.aio.Server, starting: "asyncio.Future[None]") -> None:
    await asyncio.wait((starting,))
    # With a grace grpc says goodbye instead of breaking the connections.
    await server.stop(STOP_GRACE)
