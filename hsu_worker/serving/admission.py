"""Who gets in: the gate, after the token; whoever does is counted."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import grpc.aio

from hsu_worker.authoring.call import CURRENT_CALL
from hsu_worker.errors import RpcError, Unauthenticated
from hsu_worker.interface import AnyInterface, Method
from hsu_worker.serving.calls import Calls, ServedCall
from hsu_worker.serving.failures import Refused
from hsu_worker.wire.chain import CALL_CHAIN
from hsu_worker.wire.metadata import Metadata

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
#: Says why calls are refused now; None when they are not.
Gate: TypeAlias = Callable[[], RpcError | None]
#: Lets a call in and counts it, or raises Refused.
Admit: TypeAlias = Callable[[Context], ServedCall]


def always_open() -> None:
    """The gate of interfaces that answer in every state."""


def stranger() -> Refused:
    """The answer to whoever has no token."""
    return Refused(
        Unauthenticated("the token is missing or wrong: send `authorization: Bearer <token>`")
    )


def admission(
    interface: AnyInterface,
    method: Method,
    *,
    gate: Gate,
    calls: Calls,
    refuse_cycle: Callable[[str], None],
) -> Admit:
    """What each call of a method goes through before anything of it is parsed.

    `refuse_cycle` raises Refused for a call that came back to its own unit, and would wait there.
    """

    def admit(context: Context) -> ServedCall:
        refusal = gate()
        if refusal is not None:
            raise Refused(refusal)
        sent = context.invocation_metadata() or ()
        for name, value in sent:
            if name == CALL_CHAIN:
                refuse_cycle(cast("str", value))
        task = asyncio.current_task()
        assert task is not None
        # grpc's stubs leave out that it is None without a deadline.
        left = cast("float | None", context.time_remaining())
        # The peer at once: grpc's context would keep its call for as long as somebody has ours.
        call = ServedCall(interface, method, cast("Metadata", sent), context.peer(), left, task)
        CURRENT_CALL.set(call)
        calls.begin(call)
        return call

    return admit
