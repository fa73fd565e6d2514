"""Tells systemd how the service stands: sd_notify(3).

Without `NOTIFY_SOCKET` in the environment all of it does nothing.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

#: Seconds that systemd is asked to wait for the next sign of a start that makes progress.
PATIENCE: Final = 30.0


class Notify:
    """The socket of the service manager.

    Args:
        environ: The environment; its variables are taken out, so that no child speaks for us.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "")
        ours = self._address and microseconds.isdigit() and pid in ("", str(os.getpid()))
        self.watchdog = int(microseconds) / 1e6 if ours else 0.0
        """Seconds within which it wants to hear that we live; 0: it doesn't ask."""

    def progress(self, fraction: float, text: str) -> None:
        """The start goes on."""
        if fraction or text:
            patience = f"EXTEND_TIMEOUT_USEC={PATIENCE * 1e6:.0f}"
            # A line break would begin another assignment.
            self._send(f"STATUS=starting: {fraction:.0%} {' '.join(text.split())}", patience)

    def ready(self, text: str) -> None:
        """Calls are answered."""
        self._send("READY=1", f"STATUS={text}")

    def leaving(self, *, returns: bool) -> None:
        """Calls are answered no more; with `returns` another process goes on in a moment."""
        if returns:
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        else:
            self._send("STOPPING=1", "STATUS=running calls finish")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # "@" stands for the zero byte of an abstract name.
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            try:
                to.sendto("\n".join(lines).encode("utf-8", "replace"), address)
            except OSError:
                # Whoever asked has gone, and nobody else can be told.
                return
