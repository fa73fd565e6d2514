"""One worker process that a master has launched: the whole of its life."""

import asyncio
import faulthandler
import io
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from hsu_worker.app import App
from hsu_worker.errors import LaunchError
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.signals import signals_lead_to
from hsu_worker.wire.address import Address
from hsu_worker.wire.announce import Announcement
from hsu_worker.wire.launch import LaunchVariables, own_master
from hsu_worker.worker import blocked_loop
from hsu_worker.worker.answering import Answering, answering
from hsu_worker.worker.departure import DEFAULT_GRACE
from hsu_worker.worker.exit_codes import NOT_STARTED, OK
from hsu_worker.worker.last_resort import LAST_RESORT, sigterm_ends_within
from hsu_worker.worker.lifecycle import nothing
from hsu_worker.worker.lifeline import Lifeline
from hsu_worker.worker.others import ThroughMaster
from hsu_worker.worker.recording import Recording, to_stderr
from hsu_worker.worker.run import load_or_show, run
from hsu_worker.worker.shutdown import shut_down

#: Seconds from the announce line within which a master must have made a handshake.
CLAIM_TIMEOUT: Final = 15.0


def run_launched(
    app: str,
    variables: LaunchVariables,
    *,
    factory: bool = False,
    log_level: str = "INFO",
    claim_timeout: float = CLAIM_TIMEOUT,
) -> int:
    """Be a master's worker until it is time to leave; returns the exit code.

    Raises:
        HsuError: Nothing has been served, and the message says why.
    """
    # Before the user's code, which may take its time: the master may be gone by then.
    lifeline = Lifeline.on_stdin() if variables.lifeline == "stdin" else None
    faulthandler.enable()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Lines that a process of a pipe keeps to itself are lost when it ends at once.
        sys.stdout.reconfigure(line_buffering=True)
    if variables.announce_fd:
        try:
            os.set_inheritable(int(variables.announce_fd), False)
        except OSError:
            raise LaunchError(
                f"HSU_ANNOUNCE_FD={variables.announce_fd}: no such descriptor is open"
            ) from None
    variables.remember_master()
    ring = LogRing()
    recording = Recording(
        ring,
        to_stderr(failures_only=True),
        level=log_level,
        beside_only=blocked_loop.__name__,
    )
    loaded = load_or_show(app, factory=factory, launched=True)
    if loaded is None:
        return NOT_STARTED
    recording.install()
    ring.line_bytes = loaded.limits.log_line_bytes
    life = live_launched(
        loaded, variables, ring, lifeline, claim_timeout=claim_timeout, started=recording.install
    )
    run(life)
    return OK


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
        with (
            signals_lead_to(partial(worker.departure.ask, DEFAULT_GRACE)),
            sigterm_ends_within(DEFAULT_GRACE + LAST_RESORT),
        ):
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
