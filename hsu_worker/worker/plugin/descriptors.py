"""The host's pipes at descriptors 1 and 2."""

import os
import select
import stat
from collections.abc import Callable


def take_stdout() -> int:
    """A copy of stdout for the handshake line, which has to be the first line there.

    What else writes to descriptor 1, such as a library in C or a child, lands in stderr from now on:
    the host shows that in its log, and throws the rest of stdout away.
    """
    copied = os.dup(1)
    os.dup2(2, 1)
    return copied


def until_unread(descriptor: int) -> Callable[[], None] | None:
    """A function that returns when nobody can read any more what is written to a pipe: its other end
    is the host's. None when it is no pipe, as in a container.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return None
    # The descriptor is not for writing to; an error of the pipe is always told.
    poll = select.poll()
    poll.register(descriptor, 0)
    return lambda: _wait(poll)


def _wait(poll: "select.poll") -> None:
    while not poll.poll():
        pass
