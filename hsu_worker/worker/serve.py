"""One worker process that serves on its own, from its command line to its end."""

import asyncio
import faulthandler
import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from hsu_worker.app import App
from hsu_worker.errors import AddressError, HsuError
from hsu_worker.gen.hsu_core import STATE_STARTING
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.signals import signals_lead_to
from hsu_worker.wire.launch import own_master, remember_master
from hsu_worker.worker.answering import Answering, answering
from hsu_worker.worker.departure import DEFAULT_GRACE, Departure
from hsu_worker.worker.exit_codes import BEYOND_REPAIR, NOT_STARTED, OK
from hsu_worker.worker.last_resort import LAST_RESORT, sigterm_ends_within
from hsu_worker.worker.lifecycle import nothing
from hsu_worker.worker.notify import Notify
from hsu_worker.worker.options import Serving
from hsu_worker.worker.others import ThroughMaster
from hsu_worker.worker.own_address import settled
from hsu_worker.worker.recording import Recording, tee_output, to_stderr
from hsu_worker.worker.registration import NoRegistration, Registration
from hsu_worker.worker.reload_pipe import ReloadPipe
from hsu_worker.worker.run import find_modules_in, load_or_show, run, tell_failure
from hsu_worker.worker.shutdown import shut_down
from hsu_worker.worker.start_line import start_line
from hsu_worker.worker.watchdog import feed_watchdog


def run_serving(options: Serving, reloader: ReloadPipe | None = None) -> int:
    """Serve on its own until a signal or Core.Shutdown; returns the exit code.

    What goes wrong is told on stderr.

    Args:
        options: What, and how.

        reloader: What starts another worker when the code has changed.
    """
    faulthandler.enable()
    ring = LogRing()
    recording = Recording(ring, to_stderr(options.log_format), level=options.log_level)
    if options.calls_go_to is not None:
        remember_master(options.calls_go_to.address, options.calls_go_to.token)
    find_modules_in(options.app_dir)
    failure = ""
    try:
        with settled(options) as options, tee_output(ring) if options.capture else nullcontext():
            app = load_or_show(options.app, factory=options.factory, log_format=options.log_format)
            if app is None:
                return NOT_STARTED
            recording.install()
            ring.line_bytes = app.limits.log_line_bytes
            life = live_serving(app, options, ring, reloader=reloader, started=recording.install)
            failure = run(life)
    except HsuError as error:
        tell_failure(str(error), options.log_format)
        return BEYOND_REPAIR if reloader and isinstance(error, AddressError) else NOT_STARTED
    if failure:
        tell_failure(f"{options.app!r} could not start: {failure}", options.log_format)
        return NOT_STARTED
    return OK


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
            token_now=options.calls_go_to.token_now if options.calls_go_to else None,
        ),
        started=started,
    ) as worker:
        departure = worker.departure
        with (
            signals_lead_to(partial(departure.ask, DEFAULT_GRACE)),
            sigterm_ends_within(DEFAULT_GRACE + LAST_RESORT),
        ):
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
