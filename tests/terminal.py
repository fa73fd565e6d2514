"""A command on a terminal of its own, as somebody types at it."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.until import until
from tests.worker.process import environment

#: Makes the terminal its own before it becomes `hsu-worker`.
_IN_FRONT = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'hsu_worker', *sys.argv[1:]])"
)


class Terminal:
    """A process in the foreground of a terminal; what it shows is read in a thread."""

    def __init__(self, process: "subprocess.Popen[bytes]", keyboard: int) -> None:
        self.process = process
        self._keyboard = keyboard
        self._shown = b""
        self._taken = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        """All that was shown so far."""
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    async def shows(self, text: str) -> str:
        """Wait until something is shown, after what was waited for before; returns all up to it."""

        def found() -> bool:
            return text in self.shown[self._taken :]

        # On a busy machine two processes take their time to start.
        with suppress(TimeoutError):
            await until(lambda: found() or not self._reader.is_alive(), within=40)
        assert found(), f"not a word of {text!r}:\n{self.shown}"
        begin, self._taken = self._taken, self.shown.index(text, self._taken) + len(text)
        return self.shown[begin : self._taken]

    def echoes(self) -> bool:
        """What is typed is seen, as in every shell."""
        return bool(termios.tcgetattr(self._keyboard)[3] & termios.ECHO)

    def type(self, text: str) -> None:
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._keyboard, text.encode())

    async def exit_code(self) -> int:
        async with asyncio.timeout(20):
            return await asyncio.to_thread(self.process.wait)

    def _read(self) -> None:
        # When the last one who has the terminal is gone, Linux says so with an error.
        with suppress(OSError):
            while read := os.read(self._keyboard, 4096):
                self._shown += read


@contextmanager
def terminal(folder: Path, *arguments: str, **variables: str) -> Generator[Terminal, None, None]:
    """Run `hsu-worker` with some arguments; nothing that it started is there after the block."""
    keyboard, screen = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _IN_FRONT, *arguments],
        stdin=screen,
        stdout=screen,
        stderr=screen,
        cwd=folder,
        env=environment(TERM="xterm", **variables),
        start_new_session=True,
    )
    os.close(screen)
    try:
        yield Terminal(process, keyboard)
    finally:
        # A group of its own: whoever is left in it was started here.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(keyboard)
