"""Feeds systemd's watchdog for as long as the worker answers.

One that a dead worker fed would be worth nothing: what is asked is a Ping, over the worker's own
socket and through the slots of its calls.
"""

import asyncio
import logging
import time
from typing import Final

from hsu_worker.errors import RpcError
from hsu_worker.gen.hsu_core import CoreClient, PingRequest
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from hsu_worker.worker.notify import Notify

log = logging.getLogger(__name__)

#: Seconds by which a call may outlive its own deadline, or its caller, while all slots are taken.
OVERDUE: Final = 30.0


async def feed_watchdog(notify: Notify, address: Address, token: str) -> None:
    """Feed it, twice as often as it asks for, until cancelled; at once when it doesn't ask.

    Args:
        notify: Knows whether, and how often.

        address: Where the worker listens.

        token: What it asks for.
    """
    pause = notify.watchdog / 2
    while pause:
        began = time.monotonic()
        problem = await what_is_wrong(address, token, pause)
        if problem:
            log.warning("the watchdog is not fed: %s", problem)
        else:
            notify.alive()
        await asyncio.sleep(max(0.0, began + pause - time.monotonic()))


async def what_is_wrong(address: Address, token: str, within: float) -> str:
    """Why a worker can't be said to answer; empty when it does, within so many seconds."""
    connection = Connection.open(address.called_at, token=token)
    try:
        answer = await CoreClient(connection).ping(PingRequest(), timeout=within)
    except RpcError as error:
        return f"no answer to a Ping within {within:g} s: {error}"
    finally:
        await connection.close()
    overdue = answer.most_overdue.ToTimedelta().total_seconds()
    if answer.busy and overdue > OVERDUE:
        return f"a call has outlived its deadline or its caller by {overdue:.0f} s"
    return ""
