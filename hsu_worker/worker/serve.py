"""The life of a worker, from top to bottom."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from hsu_worker.app import App
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.signals import signals_lead_to
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import Announcement
from hsu_worker.wire.launch import LaunchVariables, own_master
from hsu_worker.worker.answering import Answering, answering
from hsu_worker.worker.core import DEFAULT_GRACE
from hsu_worker.worker.lifecycle import nothing
from hsu_worker.worker.lifeline import Lifeline
from hsu_worker.worker.others import ThroughMaster
from hsu_worker.worker.registration import stay_registered
from hsu_worker.worker.shutdown import shut_down

#: Seconds from the announce line within which a master must have made a handshake.
CLAIM_TIMEOUT: Final = 15.0
#: This machine only, and any free port: the line that is printed says which.
DEFAULT_LISTEN: Final = Address(host="127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a worker serves that no master has launched."""

    listen: Address = DEFAULT_LISTEN
    token: str = field(default="", repr=False)
    """What callers must present; empty: nothing."""
    token_file: str = ""
    """Where it came from, for the line that says how to call."""
    register: Address | None = None
    """A master to register with."""
    unit: str = ""
    """The unit to stand for there."""
    master_token: str = field(default="", repr=False)
    master: tuple[Address, str] | None = field(default=None, repr=False)
    """A master for the calls that the services make, and the token for it."""
    capture: bool = True
    """Put the lines of stdout and stderr into the log, too."""
    log_level: str = "INFO"

    @property
    def calls_go_to(self) -> tuple[Address, str] | None:
        """The master for the calls that the services make, and the token for it."""
        if self.master is None and self.register is not None:
            return self.register, self.master_token
        return self.master


async def live_launched(
    app: App,
    variables: LaunchVariables,
    ring: LogRing,
    lifeline: Lifeline | None,
    *,
    claim_timeout: float = CLAIM_TIMEOUT,
    started: Callable[[], None] = nothing,
) -> None:
    """Live as a master's worker: say where, wait to be claimed, and do what Core is told.

    Calls `started` whenever code of the lifespans has run.
    """
    async with answering(
        app,
        variables.address,
        instance=variables.instance,
        token=variables.token,
        ring=ring,
        others=ThroughMaster(variables.unit, own_master(), app.client_interceptors),
        started=started,
    ) as worker:
        with signals_lead_to(partial(worker.departure.ask, DEFAULT_GRACE)):
            if lifeline is not None:
                lifeline.leads_to(worker.departure)
            try:
                _announce(variables, worker.address)
            except OSError as error:
                worker.departure.ask(0.0, f"the announce line can't be written: {error.strerror}")
            claim = asyncio.create_task(_leave_unclaimed(worker, claim_timeout))
            await worker.departure.asked()
            claim.cancel()
            await shut_down(worker)


async def live_serving(
    app: App, options: Serving, ring: LogRing, *, started: Callable[[], None] = nothing
) -> str:
    """Live on its own: start at once, and serve until a signal or Core.Shutdown.

    Calls `started` whenever code of the lifespans has run.

    Returns:
        Why the start failed; empty when it did not.
    """
    instance = os.urandom(16).hex()
    async with answering(
        app,
        options.listen,
        instance=instance,
        token=options.token,
        ring=ring,
        others=ThroughMaster(options.unit, options.calls_go_to, app.client_interceptors),
        started=started,
    ) as worker:
        with signals_lead_to(partial(worker.departure.ask, DEFAULT_GRACE)):
            failure = await started_alone(worker)
            if failure:
                return failure
            if not worker.departure.is_asked:
                print(_served(app, options, worker.address), flush=True)
            registration = asyncio.create_task(stay_registered(options, worker.address, instance))
            await worker.departure.asked()
            # First of all, so that the master sends nobody any more.
            registration.cancel()
            await asyncio.wait((registration,))
            await shut_down(worker)
    return ""


def _announce(variables: LaunchVariables, address: Address) -> None:
    line = Announcement(variables.instance, address).line()
    if variables.announce_fd:
        descriptor = int(variables.announce_fd)
        os.write(descriptor, line)
        os.close(descriptor)
    else:
        sys.stdout.flush()
        os.write(1, line)


async def _leave_unclaimed(worker: Answering, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await worker.core.claimed.wait()
    except TimeoutError:
        worker.departure.ask(0.0, f"no master made a handshake within {timeout:g} s")


async def started_alone(worker: Answering) -> str:
    """Enter the lifespans, unless somebody asks the worker to leave; why it failed."""

    async def last_step() -> str:
        return [step async for step in worker.lifecycle.start()][-1].reason

    start = asyncio.create_task(last_step())
    asked = asyncio.create_task(worker.departure.asked())
    await asyncio.wait((start, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    return start.result() if start.done() else ""


def _served(app: App, options: Serving, address: Address) -> str:
    names = ", ".join(interface.name for interface in app.services)
    where = (
        f"--unix-socket {address.path} http://localhost"
        if address.is_unix
        else f"http://{address.target}"
    )
    token = (
        f' --header "authorization: Bearer $(cat {options.token_file})" --reflect-header "*"'
        if options.token
        else ""
    )
    return (
        f"serving {names} at {address}; to see it: "
        f"buf curl --protocol grpc --http2-prior-knowledge --list-methods{token} {where}"
    )
