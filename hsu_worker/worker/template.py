"""A process that has imported what every worker needs, and becomes workers by forking.

`python -m hsu_worker.worker.template <module:App or nothing> <room for a longer command>` is
started by a master's keeper. It has one thread and makes no object of grpc's, because neither
survives a fork. Descriptor 0 is a socket to the keeper, of the sort that keeps messages apart
(SOCK_SEQPACKET); each message is a JSON document.

It first says `{"ready": pid}`, or `{"unsafe": why}` and leaves. A request says what a fork has to
become; the descriptors for 0, 1, 2 and, if there is one, the announce line come with it. The answer is
`{"forked": id, "pid": n}` or `{"failed": id, "why": text}`. When files that it has imported are others
now, or it has grown, it answers `{"stale": id}` and leaves.

The worker is the keeper's child, not the template's: its parent leaves at once, and the keeper, a
subreaper, is who learns how it ends.
"""

import gc
import importlib
import json
import os
import resource
import socket
import sys
import threading
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hsu_worker.worker.__main__ import main as be_a_worker
from hsu_worker.worker.process_memory import resident_bytes
from hsu_worker.worker.process_title import find_regions, show_as, show_variable

#: Where a keeper finds who a process belongs to.
MARK: Final = "HSU_KEEPER_ID"
#: Bytes of a request at the most, and descriptors.
MESSAGE_BYTES: Final = 1 << 20
DESCRIPTORS: Final = 4
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


def main() -> int:
    """Be a template; in a fork, be a worker. Returns the exit code."""
    keeper = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # Everything that a worker imports before it answers.
    importlib.import_module("hsu_worker.worker.launched")
    # And what grpc imports with the first server.
    importlib.import_module("grpc._utilities")
    before = dict(os.environ)
    unsafe = _import(sys.argv[1]) or _threads()
    if unsafe:
        keeper.send(json.dumps({"unsafe": unsafe}).encode())
        return 0
    find_regions()
    # What is there now stays as it is: its pages are shared with all forks.
    gc.collect()
    gc.freeze()
    fork = _serve(keeper)
    if fork is None:
        return 0
    keeper.close()
    _become(fork, before)
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


def _threads() -> str:
    """Why a fork of this process would not be one: only the thread that forks lives on."""
    if len(os.listdir("/proc/self/task")) == 1:
        return ""
    names = ", ".join(each.name for each in threading.enumerate()[1:]) or "of native code"
    return f"importing it starts threads ({names}), and no thread survives a fork"


def _serve(keeper: socket.socket) -> Fork | None:
    """Fork for each request; returns in the forks, and None when it is time to leave."""
    imported, memory = _Imported(), resident_bytes()
    keeper.send(json.dumps({"ready": os.getpid()}).encode())
    while True:
        data, descriptors, _, _ = socket.recv_fds(keeper, MESSAGE_BYTES, DESCRIPTORS)
        if not data:
            return None
        request = json.loads(data)
        if imported.has_changed() or resident_bytes() > GROWTH * memory:
            keeper.send(json.dumps({"stale": request["id"]}).encode())
            return None
        fork = _fork(keeper, request, descriptors)
        if fork is not None:
            return fork
        for descriptor in descriptors:
            os.close(descriptor)


def _fork(keeper: socket.socket, request: Any, descriptors: list[int]) -> Fork | None:
    """Fork twice; the fork of the fork returns what it has to become."""

    def fail(error: OSError) -> None:
        keeper.send(json.dumps({"failed": request["id"], "why": error.strerror}).encode())

    try:
        between = os.fork()
    except OSError as error:
        fail(error)
        return None
    if between:
        os.waitpid(between, 0)
        return None
    try:
        worker = os.fork()
    except OSError as error:
        fail(error)
        os._exit(1)
    if worker:
        # Before this end it is nobody's orphan: the keeper hears of it before it can hear of its end.
        keeper.send(json.dumps({"forked": request["id"], "pid": worker}).encode())
        os._exit(0)
    return Fork(
        target=request["target"],
        argv=request["argv"],
        env=request["env"],
        cwd=request["cwd"],
        announce=request["announce"],
        limits=request["limits"],
        descriptors=descriptors,
    )


def _become(fork: Fork, before: Mapping[str, str]) -> None:
    """Take on all that exec would have given a process of its own, and keep what the app has changed.

    Args:
        fork: What it has to become.

        before: The environment before the app was imported.
    """
    os.setsid()
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
