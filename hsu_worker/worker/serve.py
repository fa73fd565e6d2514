"""The life of a worker, from top to bottom."""

import asyncio
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from hsu_worker.app import App
from hsu_worker.gen.hsu_core import STATE_STARTING
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.signals import signals_lead_to
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import Announcement
from hsu_worker.wire.launch import LaunchVariables, own_master
from hsu_worker.worker.answering import Answering, answering
from hsu_worker.worker.departure import DEFAULT_GRACE, Departure
from hsu_worker.worker.lifecycle import nothing
from hsu_worker.worker.lifeline import Lifeline
from hsu_worker.worker.notify import Notify
from hsu_worker.worker.options import Serving
from hsu_worker.worker.others import ThroughMaster
from hsu_worker.worker.registration import NoRegistration, Registration
from hsu_worker.worker.reload_pipe import ReloadPipe
from hsu_worker.worker.shutdown import shut_down
from hsu_worker.worker.start_line import start_line
from hsu_worker.worker.watchdog import feed_watchdog

#: Seconds from the announce line within which a master must have made a handshake.
CLAIM_TIMEOUT: Final = 15.0


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
    app: App,
    options: Serving,
    ring: LogRing,
    *,
    reloader: ReloadPipe | None = None,
    started: Callable[[], None] = nothing,
) -> str:
    """Live on its own: start at once, and serve until a signal or Core.Shutdown.

    Args:
        app: What to serve.

        options: How; `listen` names an address at least.

        ring: The log.

        reloader: What starts another worker when the code has changed.

        started: Called whenever code of the lifespans has run.

    Returns:
        Why the start failed; empty when it did not.
    """
    instance = os.urandom(16).hex()
    notify = Notify()
    async with answering(
        app,
        *options.listen,
        instance=instance,
        token=options.token,
        ring=ring,
        others=ThroughMaster(
            options.membership.unit if options.membership else "",
            own_master(),
            app.client_interceptors,
        ),
        started=started,
    ) as worker:
        departure = worker.departure
        with signals_lead_to(partial(departure.ask, DEFAULT_GRACE)):
            if reloader is not None:
                reloader.leads_to(departure)
            failure = await started_alone(worker, notify)
            if failure:
                return failure
            registration = _registration(options, worker, instance)
            holding = asyncio.create_task(registration.hold())
            feeding = asyncio.create_task(feed_watchdog(notify, worker.address, options.token))
            failure = await _unless_asked(departure, registration.first)
            if failure:
                departure.ask(0.0, "there is no place for it")
            elif not departure.is_asked:
                line = start_line(app, options, worker.addresses)
                print(line, flush=True)
                notify.ready(line)
            await departure.asked()
            notify.leaving(returns=departure.returns)
            if departure.returns:
                await registration.keep_place()
            # First of all, so that the master sends nobody any more.
            holding.cancel()
            await asyncio.wait((holding,))
            await shut_down(worker)
            feeding.cancel()
            await asyncio.wait((feeding,))
    return failure


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


async def started_alone(worker: Answering, notify: Notify) -> str:
    """Enter the lifespans, unless somebody asks the worker to leave; returns why it failed."""
    start = asyncio.create_task(_started(worker, notify))
    return await _unless_asked(worker.departure, start)


async def _started(worker: Answering, notify: Notify) -> str:
    reason = ""
    async for step in worker.lifecycle.start():
        if step.state == STATE_STARTING:
            notify.progress(step.fraction, step.text)
        reason = step.reason
    return reason


def _registration(options: Serving, worker: Answering, instance: str) -> NoRegistration:
    if options.membership is None:
        return NoRegistration()
    return Registration(
        options.membership,
        worker.address,
        instance=instance,
        token=options.token,
        sent_away=partial(worker.departure.ask, DEFAULT_GRACE),
    )


async def _unless_asked(departure: Departure, failure: "asyncio.Future[str]") -> str:
    """Wait until it is known whether something failed, or somebody asks the worker to leave."""
    asked = asyncio.create_task(departure.asked())
    await asyncio.wait((failure, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    return failure.result() if failure.done() else ""
