"""Forks that are the keeper's children, not the template's."""

import json
import os
import socket
from collections.abc import Callable


def tell(keeper: socket.socket, **answer: object) -> None:
    """Say something to the keeper."""
    keeper.send(json.dumps(answer).encode())


def _nobody(_: object) -> None:
    """Nobody has to be told."""


def fork_twice(
    forked: Callable[[int], None] = _nobody, failed: Callable[[OSError], None] = _nobody
) -> bool:
    """Fork a process that forks, and leaves: what is then an orphan comes to the keeper.

    Args:
        forked: Called in between, with the pid: before its end the fork is nobody's orphan, so that
            whoever is told here hears of it before hearing of its end.

        failed: Called when a fork isn't possible.

    Returns:
        Whether this is the fork of the fork, which has a session of its own.
    """
    try:
        between = os.fork()
    except OSError as error:
        failed(error)
        return False
    if between:
        os.waitpid(between, 0)
        return False
    try:
        worker = os.fork()
    except OSError as error:
        failed(error)
        os._exit(1)
    if worker:
        forked(worker)
        os._exit(0)
    os.setsid()
    return True
