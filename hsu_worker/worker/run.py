"""What every worker process begins and ends with: modules, an app, an event loop."""

import asyncio
import logging
import sys
import traceback
from collections.abc import Coroutine
from typing import Any, TypeVar

from hsu_worker import loading
from hsu_worker.app import App
from hsu_worker.errors import HsuError
from hsu_worker.serving.tracebacks import without_ours
from hsu_worker.worker.log_format import LogFormat

log = logging.getLogger(__name__)

T = TypeVar("T")


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


def tell_failure(problem: str, log_format: LogFormat) -> None:
    """Say why nothing is served, on stderr."""
    if log_format == "json":
        log.error("%s", problem)
    else:
        print(f"Error: {problem}", file=sys.stderr)
