"""The pipe that a launched worker holds to its master: when it ends, the master is gone."""

import os
import threading
import time
from typing import Final

from hsu_worker.errors import LaunchError
from hsu_worker.worker.departure import Departure

#: Seconds that calls in flight are given once the master is gone.
LIFELINE_GRACE: Final = 2.0
#: Seconds after which the process ends whatever its shutdown still waits for.
LAST_RESORT: Final = 15.0


class Lifeline:
    """Watches descriptor 0 in a thread, from before the user's code is imported.

    Until `leads_to` the end of the lifeline ends the process at once: nothing has been acquired.
    Afterwards it asks for the ordinary shutdown.

    Raises:
        LaunchError: Descriptor 0 is closed.
    """

    def __init__(self) -> None:
        self._departure: Departure | None = None
        # A copy, so that nothing the user imports takes bytes from it, and children get an empty
        # stdin instead of the master's pipe.
        try:
            self._descriptor = os.dup(0)
        except OSError:
            raise LaunchError(
                "HSU_LIFELINE=stdin, and descriptor 0 is closed; "
                "give the worker a pipe, or HSU_LIFELINE=none"
            ) from None
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        threading.Thread(target=self._watch, name="hsu-lifeline", daemon=True).start()

    def leads_to(self, departure: Departure) -> None:
        """From now on its end is a wish to leave."""
        self._departure = departure

    def _watch(self) -> None:
        # Not sys.stdin.buffer: a thread inside its lock aborts the process at exit.
        try:
            while os.read(self._descriptor, 4096):
                pass
        except OSError:
            pass
        # Nothing is written from here on: who read our output is gone, too.
        departure = self._departure
        if departure is None:
            os._exit(0)
        departure.ask_from_thread(LIFELINE_GRACE, "the master is gone")
        time.sleep(LIFELINE_GRACE)
        if departure.began.is_set():
            time.sleep(LAST_RESORT)
        os._exit(1)
