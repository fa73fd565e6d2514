"""A process that has imported what every worker needs, and becomes workers by forking.

`python -m hsu_worker.worker.template <module:App or nothing> <room for a longer command>` is
started by a master's keeper. It has one thread and makes no object of grpc's, because neither
survives a fork. Descriptor 0 is a socket to the keeper, of the sort that keeps messages apart
(SOCK_SEQPACKET); each message is a JSON document.

It first says `{"ready": pid}`, or `{"unsafe": why}` and leaves. A request says what a fork has to
become; the descriptors for 0, 1, 2 and, if there is one, the announce line come with it. The answer is
`{"forked": id, "pid": n}` or `{"failed": id, "why": text}`; `{"lost": id}` says that what was to tell that it
is forked has ended, after it or before. When files that it has imported are others now, or it has grown, it
answers `{"stale": id}` and leaves.

The worker is the keeper's child, not the template's: its parent leaves at once, and the keeper, a
subreaper, is who learns how it ends. A while after each request one more is forked, a spare, which takes
the next.
"""

import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hsu_worker.worker.__main__ import main as be_a_worker
from hsu_worker.worker.fork_safety import why_unsafe
from hsu_worker.worker.forking import fork_twice, tell
from hsu_worker.worker.process_memory import resident_bytes
from hsu_worker.worker.process_title import find_regions, show_as, show_variable
from hsu_worker.worker.spare import DESCRIPTORS, MARK, MESSAGE_BYTES, Spares

#: One that takes so many times what it took when it was ready is given up.
GROWTH: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """What a fork has to become."""

    target: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    announce: bool
    limits: Mapping[str, Any] | None
    descriptors: list[int]

    @classmethod
    def of(cls, request: Any, descriptors: list[int]) -> "Fork":
        """What a request of the keeper's says."""
        return cls(
            target=request["target"],
            argv=request["argv"],
            env=request["env"],
            cwd=request["cwd"],
            announce=request["announce"],
            limits=request["limits"],
            descriptors=descriptors,
        )


def main() -> int:
    """Be a template; in a fork, be a worker. Returns the exit code."""
    keeper = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # Everything that a worker imports before it answers.
    importlib.import_module("hsu_worker.worker.launched")
    # And what grpc imports with the first server and the first channel.
    for name in ("grpc._utilities", "grpc._channel", "grpc.experimental"):
        importlib.import_module(name)
    before = dict(os.environ)
    unsafe = _import(sys.argv[1]) or why_unsafe()
    if unsafe:
        tell(keeper, unsafe=unsafe)
        return 0
    # A module may have them ignored, or reap them itself: whoever forks here waits for its own.
    of_ended_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    find_regions()
    # What is there now stays as it is: its pages are shared with all forks.
    gc.collect()
    gc.freeze()
    fork = _serve(keeper)
    if fork is None:
        return 0
    _become(fork, before)
    # None: it was set in C, and Python can't do so.
    if of_ended_children is not None:
        signal.signal(signal.SIGCHLD, of_ended_children)
    # Not before it has a mark of its own: at the end of a template the keeper ends what has that one's.
    keeper.close()
    return be_a_worker()


def _import(target: str) -> str:
    """Import an app's module, if there is one; why that can't be done before a fork."""
    if target:
        try:
            importlib.import_module(target.partition(":")[0])
            # What it has printed is nobody's output: no fork has to print it again.
            sys.stdout.flush()
        except BaseException as error:
            return f"{target} can't be imported beforehand: {type(error).__name__}: {error}"
    return ""


def _serve(keeper: socket.socket) -> Fork | None:
    """Fork for each request; returns in the forks, and None when it is time to leave."""
    imported, memory = _Imported(), resident_bytes()
    spares = Spares(keeper)
    tell(keeper, ready=os.getpid())
    while True:
        taken = spares.wait()
        if taken is not None:
            return Fork.of(*taken)
        data, descriptors, _, _ = socket.recv_fds(keeper, MESSAGE_BYTES, DESCRIPTORS)
        if not data:
            return None
        request = json.loads(data)
        if imported.has_changed() or resident_bytes() > GROWTH * memory:
            tell(keeper, stale=request["id"])
            return None
        try:
            # A spare has threads, and some limits are those of one thread.
            is_taken = request["limits"] is None and spares.take(data, descriptors)
        except EOFError:
            tell(keeper, lost=request["id"])
            is_taken = True
        if not is_taken and _fork(keeper, request["id"]):
            spares.close()
            return Fork.of(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        # The next spare is another unit's: none of this one's secrets is its business.
        del data, request


def _fork(keeper: socket.socket, number: int) -> bool:
    """Fork for one request; whether this is the fork."""
    return fork_twice(
        forked=lambda pid: tell(keeper, forked=number, pid=pid),
        failed=lambda error: tell(keeper, failed=number, why=error.strerror),
    )


def _become(fork: Fork, before: Mapping[str, str]) -> None:
    """Take on all that exec would have given a process of its own, and keep what the app has changed.

    Args:
        fork: What it has to become.

        before: The environment before the app was imported.
    """
    show_variable(MARK, fork.env[MARK])
    show_as(fork.argv)
    for number, descriptor in enumerate(fork.descriptors[:3]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # Should they not be possible, that is told now.
    if fork.limits is not None:
        _limit(fork.limits)
    changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
    removed = before.keys() - os.environ.keys()
    wanted = {name: value for name, value in (fork.env | changed).items() if name not in removed}
    # Most is there already, and writing all of it anew would take its time.
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if fork.announce:
        os.environ["HSU_ANNOUNCE_FD"] = str(fork.descriptors[3])
    # One that has imported the app began there, and the app may have gone elsewhere.
    if not sys.argv[1]:
        os.chdir(fork.cwd)
        if not sys.flags.safe_path:
            sys.path[0] = fork.cwd
    sys.argv = ["hsu_worker.worker", fork.target]
    importlib.invalidate_caches()
    _reseed()


def _limit(limits: Mapping[str, Any]) -> None:
    for number, most in limits["rlimits"]:
        resource.setrlimit(number, (most, most))
    os.nice(limits["nice"])
    if limits["cpus"]:
        os.sched_setaffinity(0, limits["cpus"])


def _reseed() -> None:
    """Python's own generator is seeded anew by each fork; others are not."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


class _Imported:
    """The files of all that has been imported until now.

    Looking at modules, or at a string for each, would write to pages all over: each fork would then be
    left with those that it shared until then.
    """

    def __init__(self) -> None:
        files = {getattr(module, "__file__", None) for module in tuple(sys.modules.values())}
        self._paths = "\0".join(file for file in files if isinstance(file, str))
        self._times = self._changed()

    def has_changed(self) -> bool:
        """One of them is another one now, or gone."""
        return self._changed() != self._times

    def _changed(self) -> "array[int]":
        found = array("q")
        for path in self._paths.split("\0"):
            try:
                found.append(os.stat(path).st_mtime_ns)
            except OSError:
                found.append(0)
        return found


if __name__ == "__main__":
    code = main()
    from hsu_worker.worker.shutdown import end_process

    end_process(code)
