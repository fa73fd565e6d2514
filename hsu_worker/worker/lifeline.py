"""What a worker holds to whoever has started it: when it ends, they are gone."""

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from hsu_worker.errors import LaunchError
from hsu_worker.worker.departure import Departure
from hsu_worker.worker.exit_codes import HUNG
from hsu_worker.worker.last_resort import LAST_RESORT

#: Seconds that calls in flight are given then.
LIFELINE_GRACE: Final = 2.0


class Lifeline:
    """Watches for an end in a thread, from before the user's code is imported.

    Until `leads_to` the end of the lifeline ends the process at once: nothing has been acquired.
    Afterwards it asks for the ordinary shutdown.

    Args:
        ended: Returns when they are gone.

        whose: Who is gone then, for the log.
    """

    def __init__(self, ended: Callable[[], None], whose: str) -> None:
        self._departure: Departure | None = None
        self._whose = whose
        threading.Thread(
            target=self._watch, args=(ended,), name="hsu-lifeline", daemon=True
        ).start()

    @classmethod
    def on_stdin(cls) -> "Lifeline":
        """The pipe of a master, at descriptor 0.

        Raises:
            LaunchError: Descriptor 0 is closed.
        """
        # A copy, so that nothing the user imports takes bytes from it, and children get an empty
        # stdin instead of the master's pipe.
        try:
            descriptor = os.dup(0)
        except OSError:
            raise LaunchError(
                "HSU_LIFELINE=stdin, and descriptor 0 is closed; "
                "give the worker a pipe, or HSU_LIFELINE=none"
            ) from None
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)

        def ended() -> None:
            # Not sys.stdin.buffer: a thread inside its lock aborts the process at exit.
            try:
                while os.read(descriptor, 4096):
                    pass
            except OSError:
                pass

        return cls(ended, "the master")

    def leads_to(self, departure: Departure) -> None:
        """From now on its end is a wish to leave."""
        self._departure = departure

    def _watch(self, ended: Callable[[], None]) -> None:
        ended()
        # Nothing is written from here on: who read our output is gone, too.
        departure = self._departure
        if departure is None:
            os._exit(0)
        departure.ask_from_thread(LIFELINE_GRACE, f"{self._whose} is gone")
        time.sleep(LIFELINE_GRACE)
        if departure.began.is_set():
            time.sleep(LAST_RESORT)
        os._exit(HUNG)
