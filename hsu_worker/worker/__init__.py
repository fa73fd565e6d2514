"""One worker process: its life, its state, Core."""

import os

from hsu_worker.errors import LaunchError


def check_platform() -> None:
    """Refuse a system without Unix sockets, signals and pipes as we need them.

    Raises:
        LaunchError: It is Windows.
    """
    if os.name == "nt":
        raise LaunchError("workers run on Linux and macOS; on Windows use WSL")
