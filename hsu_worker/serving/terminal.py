"""The terminal, for whoever ends a process that may be in a debugger."""

import os
from collections.abc import Callable
from contextlib import suppress


def terminal_restorer() -> Callable[[], None]:
    """What makes the terminal at stdin again what it is now; does nothing where there is none.

    A debugger that waits for input has switched off that what is typed is seen. Whoever cuts it off
    would leave the terminal so.
    """
    # Where stdin is the pipe of a master there is nothing to restore.
    if not os.isatty(0):
        return lambda: None
    import termios

    try:
        before = termios.tcgetattr(0)
    except (termios.error, OSError, ValueError):
        return lambda: None

    def restore() -> None:
        with suppress(termios.error, OSError):
            # From the background it would stop us.
            if os.tcgetpgrp(0) == os.getpgrp():
                termios.tcsetattr(0, termios.TCSANOW, before)

    return restore
