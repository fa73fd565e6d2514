"""What a worker hears from the process that starts it anew when its code changes."""

import os
import signal
import threading
import time
from typing import Final

from hsu_worker.worker.departure import DEFAULT_GRACE, Departure
from hsu_worker.worker.exit_codes import HUNG
from hsu_worker.worker.last_resort import LAST_RESORT
from hsu_worker.worker.options import Serving

#: Seconds that calls in flight are given when the code has changed.
RELOAD_GRACE: Final = 5.0

#: The word on the pipe for it. The end of the pipe means: leave for good.
CHANGED: Final = b"changed\n"


class ReloadPipe:
    """A pipe from the reloader: first what to serve, in one line, then when to leave.

    stdin stays what it is, for debuggers.

    Args:
        descriptor: Its end in this process.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        # Ctrl-C reaches the reloader, too, and that ends us. Not SIG_IGN: children would have it.
        signal.signal(signal.SIGINT, lambda *_: None)
        self._descriptor = descriptor
        self._departure: Departure | None = None
        line = self._line()
        if not line:
            # The reloader has gone already.
            os._exit(0)
        self.options = Serving.from_json(line.decode())
        threading.Thread(target=self._watch, name="hsu-reload", daemon=True).start()

    def leads_to(self, departure: Departure) -> None:
        """From now on its words are wishes to leave; before, they end the process at once."""
        self._departure = departure

    def _line(self) -> bytes:
        """The next line, with its end; without one, the pipe has ended."""
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(self._descriptor, 1)):
            line += byte
        return line

    def _watch(self) -> None:
        if self._line() == CHANGED:
            self._leave(RELOAD_GRACE, "its code has changed", returns=True)
            self._line()
        self._leave(DEFAULT_GRACE, "its reloader leaves", returns=False)
        # Nobody is left to kill a worker that hangs.
        time.sleep(DEFAULT_GRACE + LAST_RESORT)
        os._exit(HUNG)

    def _leave(self, grace: float, why: str, *, returns: bool) -> None:
        if self._departure is None:
            # Nothing has been acquired.
            os._exit(0)
        self._departure.ask_from_thread(grace, why, returns=returns)
