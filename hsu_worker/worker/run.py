"""One worker process: what comes before its event loop, and what after."""

import asyncio
import faulthandler
import io
import os
import sys
import traceback
from collections.abc import Coroutine
from contextlib import nullcontext
from typing import Any, Final, TypeVar

from hsu_worker import loading
from hsu_worker.app import App
from hsu_worker.errors import HsuError, LaunchError
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.tracebacks import without_ours
from hsu_worker.wire.launch import LaunchVariables
from hsu_worker.worker.lifeline import Lifeline
from hsu_worker.worker.recording import Recording, tee_output
from hsu_worker.worker.serve import CLAIM_TIMEOUT, Serving, live_launched, live_serving

T = TypeVar("T")

#: Exit codes.
OK: Final = 0
NOT_STARTED: Final = 3


def run_launched(
    target: str, variables: LaunchVariables, *, claim_timeout: float = CLAIM_TIMEOUT
) -> int:
    """Be a master's worker until it is time to leave; returns the exit code.

    Raises:
        HsuError: Nothing has been served, and the message says why.
    """
    # Before the user's code, which may take its time: the master may be gone by then.
    lifeline = Lifeline() if variables.lifeline == "stdin" else None
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
    recording = Recording(ring, launched=True)
    app = load_or_show(target, launched=True)
    if app is None:
        return NOT_STARTED
    recording.install()
    ring.line_bytes = app.limits.log_line_bytes
    life = live_launched(
        app, variables, ring, lifeline, claim_timeout=claim_timeout, started=recording.install
    )
    run(life)
    return OK


def run_serving(target: str, options: Serving, *, insecure_remote: bool = False) -> int:
    """Serve on its own until a signal or Core.Shutdown; returns the exit code.

    Raises:
        HsuError: Nothing has been served, and the message says why.
    """
    if not insecure_remote:
        options.listen.check_local()
    faulthandler.enable()
    ring = LogRing()
    recording = Recording(ring, level=options.log_level, launched=False)
    with tee_output(ring) if options.capture else nullcontext():
        app = load_or_show(target, launched=False)
        if app is None:
            return NOT_STARTED
        recording.install()
        ring.line_bytes = app.limits.log_line_bytes
        failure = run(live_serving(app, options, ring, started=recording.install))
    if failure:
        print(f"{target!r} could not start: {failure}", file=sys.stderr)
        return NOT_STARTED
    return OK


def run(life: Coroutine[Any, Any, T]) -> T:
    """Run a life on a loop of its own.

    `asyncio.run` would wait at its end for threads that may never end.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(life)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()


def load_or_show(target: str, *, launched: bool) -> App | None:
    """As `load_app`; None when the user's own code raised, and its traceback has been printed.

    Raises:
        HsuError: The import string leads to nothing that can be served.
    """
    try:
        return loading.load_app(target, launched=launched)
    except HsuError:
        raise
    except Exception as error:
        traceback.print_exception(without_ours(error))
        print(f"{target!r} could not be loaded", file=sys.stderr)
        return None
