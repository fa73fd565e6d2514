"""The master's gateway: any client, in any language, calls any unit's interface at one address."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn, Protocol, cast

import grpc
import grpc.aio

from hsu_worker.errors import (
    DeadlineExceeded,
    Dispatch,
    InvalidArgument,
    PermissionDenied,
    RpcError,
    Unavailable,
)
from hsu_worker.gen.hsu_core import Registry
from hsu_worker.gen.hsu_master import Master as Control
from hsu_worker.master.gateway.passing import Passing
from hsu_worker.master.router import CORE, Router
from hsu_worker.serving.admission import Context, stranger
from hsu_worker.serving.failures import answer_failure
from hsu_worker.serving.health import SERVICE as HEALTH
from hsu_worker.wire.chain import CALL_CHAIN
from hsu_worker.wire.connection import Lease
from hsu_worker.wire.metadata import AUTHORIZATION, UNIT, Metadata
from hsu_worker.wire.reflected import V1, V1ALPHA
from hsu_worker.wire.status import error_info, to_status

#: Metadata: milliseconds that a call waits for its unit to start; 0: it starts nothing.
WAIT: Final = "hsu-wait"

#: What the master answers itself.
OWN: Final = frozenset({Registry.name, Control.name, HEALTH, V1, V1ALPHA})

#: Metadata that is between the caller and the gateway; the connection to the worker has its own.
_KEPT: Final = frozenset({AUTHORIZATION, "user-agent", "te", "content-type", UNIT, WAIT})
_KEPT_PREFIXES: Final = ("grpc-", ":")

#: Methods of Core that only the owner of a unit may call, and the command that asks it to.
_OWNERS: Final = {"Start": "start", "Stop": "stop", "Shutdown": "stop"}

_MILLISECONDS: Final = re.compile(r"[0-9]{1,9}")


class Lender(Protocol):
    """Lends units, as a master does."""

    def lease(self, interface: str, unit: str, *, what: str, start: bool, chain: str = "") -> Lease:
        """Lends the unit's connection for `what`, which stands in the record of why it started.

        With `start` it starts the unit when it has to; without, one that doesn't run is
        UNAVAILABLE with the reason NOT_RUNNING. `chain` holds the units that the call came through.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller says to the gateway, and what it says to the worker."""

    unit: str | None
    wait: float | None
    """Seconds to wait for a start; 0: start nothing."""
    chain: str
    """The units that the call came through."""
    metadata: Metadata
    """The worker's."""

    @classmethod
    def read(cls, metadata: Metadata) -> "Wish":
        """Read the metadata of a call.

        Raises:
            InvalidArgument: `hsu-wait` is malformed.
        """
        told = {name: value for name, value in metadata if name in (UNIT, WAIT, CALL_CHAIN)}
        return cls(
            unit=cast("str | None", told.get(UNIT)),
            chain=cast("str", told.get(CALL_CHAIN, "")),
            wait=_seconds(told[WAIT]) if WAIT in told else None,
            metadata=[
                pair
                for pair in metadata
                if pair[0] not in _KEPT and not pair[0].startswith(_KEPT_PREFIXES)
            ],
        )


class Gateway(grpc.GenericRpcHandler):
    """Passes every call of a unit's interface on, as bytes.

        gateway = Gateway(router, lender, authorize=tokens.may_call, owns=tokens.owns)
        async with listening(dispatcher, address, gateway): ...

    Args:
        router: Knows which unit a call goes to.

        lender: Lends it.

        authorize: Whether the metadata of a call lets it in.

        owns: Whether it may also look at workers, by Core: their logs are nobody else's business.
    """

    def __init__(
        self,
        router: Router,
        lender: Lender,
        *,
        authorize: Callable[[Any], bool],
        owns: Callable[[Any], bool],
    ) -> None:
        self._router = router
        self._lender = lender
        self._authorize = authorize
        self._owns = owns

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of one call, as grpc asks for it; None when the master answers itself."""
        path = handler_call_details.method
        interface, _, method = path.removeprefix("/").partition("/")
        if interface in OWN:
            return None
        # One kind stands for all four: on the wire, they differ in the number of messages.
        return grpc.stream_stream_rpc_method_handler(partial(self._handle, interface, method))

    async def _handle(
        self, interface: str, method: str, _requests: object, context: Context
    ) -> None:
        try:
            await self._pass(interface, method, context)
        except BaseException as failure:
            await _answer(context, f"/{interface}/{method}", failure)

    async def _pass(self, interface: str, method: str, context: Context) -> None:
        metadata = cast("Metadata", context.invocation_metadata() or ())
        if not self._authorize(metadata):
            raise stranger()
        wish = Wish.read(metadata)
        unit = self._router.unit_for(interface, wish.unit)
        if interface == CORE and not self._owns(metadata):
            raise PermissionDenied(
                f"{CORE} of a unit needs the master's own token; the token of a worker is for calls "
                "of other interfaces",
                dispatched=Dispatch.NO,
            )
        if interface == CORE and method in _OWNERS:
            raise PermissionDenied(
                f"{CORE}/{method} belongs to the master: write `hsu-worker {_OWNERS[method]} "
                f"{unit}`, or call {Control.name}",
                dispatched=Dispatch.NO,
            )
        now = asyncio.get_running_loop().time()
        # grpc's stubs leave out that it is None without a deadline.
        left = cast("float | None", context.time_remaining())
        deadline = None if left is None else now + left
        until = deadline
        if wish.wait and (left is None or wish.wait < left):
            until = now + wish.wait
        what = f"a call of {interface}/{method} at the gateway"
        lease = self._lender.lease(
            interface, unit, what=what, start=wish.wait != 0, chain=wish.chain
        )
        try:
            await Passing(context, f"/{interface}/{method}", wish.metadata, deadline).run(
                lease, until
            )
        except DeadlineExceeded as late:
            if until == deadline or context.time_remaining() == 0:
                raise
            raise Unavailable(
                f"{late.message}; `{WAIT}` is {1000 * (wish.wait or 0):.0f} ms",
                details=[error_info("NOT_RUNNING", unit=unit)],
                dispatched=Dispatch.NO,
            ) from None


def _seconds(value: str | bytes) -> float:
    if isinstance(value, str) and _MILLISECONDS.fullmatch(value):
        return int(value) / 1000
    raise InvalidArgument(
        f"metadata {WAIT!r}: {value!r} is no number of milliseconds; "
        "send a whole number such as 500, or 0 to start nothing",
        dispatched=Dispatch.NO,
    )


async def _answer(context: Context, path: str, failure: BaseException) -> NoReturn:
    match failure:
        case RpcError():
            await context.abort(*to_status(failure))
        case grpc.aio.BaseError():
            # The call has ended, by abort, or because the caller has left; grpc knows.
            raise failure
        case _:
            await answer_failure(context, path, None, failure)
    raise AssertionError("abort raises")
