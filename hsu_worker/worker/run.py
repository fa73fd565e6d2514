"""One worker process: what comes before its event loop, and what after."""

import asyncio
import faulthandler
import io
import logging
import os
import sys
import traceback
from collections.abc import Coroutine
from contextlib import nullcontext
from typing import Any, TypeVar

from hsu_worker import loading
from hsu_worker.app import App
from hsu_worker.errors import AddressError, HsuError, LaunchError
from hsu_worker.serving.logring import LogRing
from hsu_worker.serving.tracebacks import without_ours
from hsu_worker.wire.launch import LaunchVariables, remember_master
from hsu_worker.worker.exit_codes import BEYOND_REPAIR, NOT_STARTED, OK
from hsu_worker.worker.lifeline import Lifeline
from hsu_worker.worker.options import LogFormat, Serving
from hsu_worker.worker.own_address import settled
from hsu_worker.worker.recording import Recording, tee_output, to_stderr
from hsu_worker.worker.reload_pipe import ReloadPipe
from hsu_worker.worker.serve import CLAIM_TIMEOUT, live_launched, live_serving

log = logging.getLogger(__name__)

T = TypeVar("T")


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
    recording = Recording(ring, to_stderr(failures_only=True), level=log_level)
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
        _complain(str(error), options.log_format)
        return BEYOND_REPAIR if reloader and isinstance(error, AddressError) else NOT_STARTED
    if failure:
        _complain(f"{options.app!r} could not start: {failure}", options.log_format)
        return NOT_STARTED
    return OK


def find_modules_in(folder: str) -> None:
    """Search a folder for modules, before all others."""
    if folder not in sys.path:
        sys.path.insert(0, folder)


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


def load_or_show(
    target: str, *, factory: bool, launched: bool = False, log_format: LogFormat = "text"
) -> App | None:
    """As `load_app`; None when the user's own code raised, and its traceback has been shown.

    Raises:
        HsuError: The import string leads to nothing that can be served.
    """
    try:
        return loading.load_app(target, factory=factory, launched=launched)
    except HsuError:
        raise
    except Exception as error:
        shown = without_ours(error)
        problem = f"{target!r} could not be loaded"
        if log_format == "json":
            log.exception("%s", problem, exc_info=shown)
        else:
            traceback.print_exception(shown)
            print(problem, file=sys.stderr)
        return None


def _complain(problem: str, log_format: LogFormat) -> None:
    if log_format == "json":
        log.error("%s", problem)
    else:
        print(f"Error: {problem}", file=sys.stderr)
