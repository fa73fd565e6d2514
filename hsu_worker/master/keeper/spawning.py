"""One way to start a command: fork and exec, in a session of its own."""

import errno
import os
import resource
import subprocess
from functools import partial
from typing import Any

from . import MARK


class NotStarted(Exception):
    """Why a command could not be started, as the master is told."""

    def __init__(self, number: int, text: str = "", *, about: str = "command") -> None:
        super().__init__(text)
        self.event: dict[str, object] = {
            "event": "failed",
            "about": about,
            "errno": number,
            "error": text or os.strerror(number),
        }


def check(request: Any, descriptors: list[int]) -> None:
    """
    Refuse what can't be started in any way.

    Raises:
        NotStarted: A descriptor has not arrived, or there is no such folder.
    """
    cwd = str(request["cwd"])
    if len(descriptors) != 3 + bool(request.get("announce", False)):
        raise NotStarted(errno.EMFILE, "the keeper has no free file descriptors")
    if not os.path.isdir(cwd):
        raise NotStarted(errno.ENOENT, about="cwd")


def environment_of(request: Any, mark: str) -> dict[str, str]:
    """The environment of a command, with its mark."""
    return {str(name): str(value) for name, value in request["env"].items()} | {MARK: mark}


def limit(limits: Any) -> None:
    """Bound this process, and with it all that it starts."""
    for number, most in limits["rlimits"]:
        resource.setrlimit(number, (most, most))
    os.nice(limits["nice"])
    if limits["cpus"]:
        os.sched_setaffinity(0, limits["cpus"])


def spawn(request: Any, descriptors: list[int], mark: str) -> int:
    """
    Start a command; returns its pid.

    Raises:
        NotStarted: The message says why.
    """
    cwd = str(request["cwd"])
    try:
        environment = environment_of(request, mark)
        limits = request.get("limits")
        if descriptors[3:]:
            environment["HSU_ANNOUNCE_FD"] = str(descriptors[3])
        process = subprocess.Popen(
            [str(word) for word in request["argv"]],
            env=environment,
            cwd=cwd,
            stdin=descriptors[0],
            stdout=descriptors[1],
            stderr=descriptors[2],
            pass_fds=descriptors[3:],
            start_new_session=True,
            # It costs the quick way to fork, so only where there is something to do.
            preexec_fn=partial(limit, limits) if limits else None,
        )
    except OSError as error:
        about = "cwd" if error.filename == cwd else "command"
        raise NotStarted(error.errno or errno.EIO, about=about) from None
    except subprocess.SubprocessError:
        raise NotStarted(errno.EPERM, "its limits can't be set; see `ulimit -H`") from None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise NotStarted(errno.EINVAL, str(error)) from None
    # Only the loop reaps: a Popen that is told its end never waits.
    process.returncode = 0
    return process.pid
