"""Who gets in: the gate, after the token; whoever does is counted."""

import asyncio
import os
import re
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeAlias, cast

import grpc.aio

from hsu_worker.authoring.call import CURRENT_CALL
from hsu_worker.errors import RpcError, Unauthenticated
from hsu_worker.interface import AnyInterface, Method
from hsu_worker.serving.calls import Calls, ServedCall
from hsu_worker.serving.failures import Refused
from hsu_worker.wire.chain import CALL_CHAIN
from hsu_worker.wire.metadata import AUTHORIZATION, CALL_ID, CURRENT_CALL_ID

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
#: Says why calls are refused now; None when they are not.
Gate: TypeAlias = Callable[[], RpcError | None]
#: Lets a call in and counts it, or raises Refused.
Admit: TypeAlias = Callable[[Context], ServedCall]

_WELL_FORMED_ID: Final = re.compile(r"[0-9a-f]{8,64}")

# Ids are no secrets. A generator of our own: what the user's code seeds may repeat itself, and so would
# a fork. Asking the kernel takes three times as long.
_ids: Final = Random()  # noqa: S311
_bits: Final = _ids.getrandbits
os.register_at_fork(after_in_child=_ids.seed)


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
        metadata = context.invocation_metadata() or ()
        refusal = gate()
        if refusal is not None:
            raise Refused(refusal)
        sent = {key: value for key, value in metadata if key != AUTHORIZATION}
        chain = sent.get(CALL_CHAIN)
        if chain is not None:
            refuse_cycle(cast("str", chain))
        # grpc's stubs leave out that it is None without a deadline.
        left = cast("float | None", context.time_remaining())
        now = time.monotonic()
        call = ServedCall(
            interface=interface,
            method=method,
            metadata=sent,
            peer=context.peer(),
            deadline=None if left is None else now + left,
            id=_call_id(sent.get(CALL_ID)),
        )
        task = asyncio.current_task()
        assert task is not None
        call.begin(now, task)
        CURRENT_CALL.set(call)
        CURRENT_CALL_ID.set(call.id)
        calls.begin(call)
        return call

    return admit


def _call_id(given: str | bytes | None) -> str:
    if isinstance(given, str) and _WELL_FORMED_ID.fullmatch(given):
        return given
    return _bits(64).to_bytes(8, "big").hex()
