"""A process that the master has launched: what can be known of it, and how it ended."""

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from hsu_worker.errors import LaunchError
from hsu_worker.master.task_limit import NO_MORE_TASKS

_log = logging.getLogger(__name__)

#: Seconds that the kernel has to end what was killed.
KILL_BOUND: Final = 5.0


@dataclass(frozen=True, slots=True)
class Exit:
    """
    How a process ended. With neither a code nor a signal, nobody could learn it.

    `maxrss` is the most memory that it ever had, in bytes; 0 is unknown.
    """

    code: int | None
    signal: int | None
    maxrss: int

    def __str__(self) -> str:
        if self.code is not None:
            return f"exit code {self.code}"
        if self.signal is None:
            return "exit code unknown"
        try:
            return f"killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"killed by signal {self.signal}"


class Process:
    """A command that a keeper started: the leader of a process group of its own.

    Args:
        send: Brings a request to the keeper of the moment, or nowhere if there is none.

        mark: What the environment of all its processes holds; see the keeper.

        known: Pid and start of one that runs already.
    """

    def __init__(
        self,
        number: int,
        argv: Sequence[str],
        cwd: str | os.PathLike[str],
        send: Callable[[Mapping[str, object]], None],
        *,
        mark: str,
        known: tuple[int, int] = (0, 0),
    ) -> None:
        self.pid, self.start = known
        """The pid, and when it started, in the kernel's ticks; 0 before it is started."""
        self.mark = mark
        self.number = number
        self.forked = False
        """A template became it."""
        self.unforkable = ""
        """Why no template became it, where one should have."""
        self.strays: tuple[int, ...] = ()
        """Pids of which nobody can say whose they were, found when it was gone."""
        self._argv = list(argv)
        self._cwd = os.path.abspath(cwd)
        self._send = send
        self._outlives = False
        # What a next keeper has to send again: signals without an answer, and SIGKILL for ever.
        self._signals: list[int] = []
        loop = asyncio.get_running_loop()
        # The outcome of the start: None, or what stood against it.
        self._started: asyncio.Future[LaunchError | None] = loop.create_future()
        self._exit: asyncio.Future[Exit] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()

    def request(
        self,
        env: Mapping[str, str],
        *,
        announce: bool,
        template: Mapping[str, object] | None,
        limits: Mapping[str, object] | None,
    ) -> dict[str, object]:
        """What asks a keeper to start it, or to let a template become it."""
        return {
            "op": "spawn",
            "id": self.number,
            "argv": self._argv,
            "target": self._argv[-1],
            "env": dict(env),
            "cwd": self._cwd,
            "announce": announce,
            "template": template,
            "limits": limits,
        }

    def signal(self, number: int) -> None:
        """
        Send a signal to the whole group; without effect once it is gone.

        SIGKILL also ends descendants that left the group.
        """
        if not self._gone.done():
            self._signals.append(int(number))
            self._send({"op": "signal", "id": self.number, "signal": int(number)})

    def outlive(self) -> None:
        """From now on it goes on when the master ends."""
        self._outlives = True
        self._send({"op": "outlive", "id": self.number})

    async def exited(self) -> Exit:
        """Wait for the end of the leader. Others of its group may live on: see `gone`."""
        return await asyncio.shield(self._exit)

    async def gone(self) -> None:
        """Wait until neither the leader nor any other process of its group is left."""
        await asyncio.shield(self._gone)

    async def started(self) -> None:
        """
        Wait until the command runs. When this is cancelled, nobody will ever own it: it is killed,
        and the cancellation goes on once nothing is left of it, after 5 s at the latest.

        Raises:
            LaunchError: It could not be started.
        """
        try:
            failure = await asyncio.shield(self._started)
        except asyncio.CancelledError:
            # Requests keep their order: this one meets a started process.
            self.signal(signal.SIGKILL)
            await self._end_in_any_case()
            raise
        if failure is not None:
            raise failure

    async def _end_in_any_case(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + KILL_BOUND
        while not self._gone.done() and (left := until - loop.time()) > 0:
            # One more cancellation can't end it sooner.
            with suppress(asyncio.CancelledError):
                await asyncio.wait((self._gone,), timeout=left)
        if not self._gone.done():
            _log.error("process %d still lives %.1f s after SIGKILL", self.pid, KILL_BOUND)

    @property
    def over(self) -> bool:
        """Whether no keeper has anything left to tell."""
        return self._gone.done()

    def handover(self) -> dict[str, object]:
        """What a keeper has to know to take it over; pid 0 if nobody knows whether it was started."""
        return {
            "id": self.number,
            "pid": self.pid,
            "start": self.start,
            "mark": self.mark,
            "outlives": self._outlives,
            "exited": self._exit.done(),
            "signals": self._signals,
        }

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Learn what a keeper tells about it."""
        match event["event"]:
            case "spawned":
                self.pid, self.start = int(event["pid"]), int(event["start"])
                self.forked, self.unforkable = bool(event["forked"]), str(event["unforkable"])
                self._started.set_result(None)
            case "failed":
                self._fail(_failure(event, self._argv, self._cwd))
            case "refused" if not self._started.done():
                command = self._argv[0]
                self._fail(LaunchError(f"the keeper refused command {command!r}: {event['error']}"))
            case "signalled":
                if event["signal"] != signal.SIGKILL and event["signal"] in self._signals:
                    self._signals.remove(event["signal"])
            case "exited":
                self._exit.set_result(Exit(event["code"], event["signal"], event["maxrss"]))
            case "gone":
                self.strays = tuple(event["strays"])
                self.lose()
            case _:
                _log.error("the keeper sent an unexpected event: %s", dict(event))

    def _fail(self, failure: LaunchError) -> None:
        self._started.set_result(failure)
        self._exit.cancel()
        self._gone.cancel()

    def give_up_start(self) -> None:
        """Whoever waits for its start waits no longer. Something of it may still be found, and ended."""
        if not self._started.done():
            self._started.set_result(
                LaunchError(
                    f"the keeper ended while it started command {self._argv[0]!r}: start it again"
                )
            )

    def lose(self) -> None:
        """Nothing is left of it, or nothing can be learned any more."""
        self.give_up_start()
        if not self._exit.done():
            self._exit.set_result(Exit(None, None, 0))
        if not self._gone.done():
            self._gone.set_result(None)


def _failure(event: Mapping[str, Any], argv: Sequence[str], cwd: str) -> LaunchError:
    """Say why a command could not be started, and what to do about it."""
    number = event["errno"]
    if event["about"] == "cwd":
        if number == errno.ENOENT:
            return LaunchError(
                f"the working directory {cwd!r} does not exist: create it, or correct the path"
            )
        return LaunchError(f"the working directory {cwd!r} can't be entered: {event['error']}")
    command = argv[0]
    if number == errno.ENOENT:
        if "/" in command and os.path.exists(os.path.join(cwd, command)):
            return LaunchError(
                f"the interpreter of command {command!r} does not exist: correct its first line (#!...)"
            )
        place = "correct the path" if "/" in command else "install it, or correct the PATH"
        return LaunchError(f"command {command!r} does not exist: {place}")
    if number == errno.EACCES and os.path.isdir(os.path.join(cwd, command)):
        return LaunchError(f"command {command!r} is a folder: name the program in it")
    if number in (errno.EACCES, errno.ENOEXEC):
        cure = (
            "run `chmod +x` on it"
            if number == errno.EACCES
            else "a script needs a first line (#!...)"
        )
        return LaunchError(f"command {command!r} is not executable: {cure}")
    reason = _LIMITS.get(number, event["error"])
    return LaunchError(f"command {command!r} could not be started: {reason}")


_LIMITS: Final = {
    errno.EMFILE: "the keeper has no free file descriptors: raise the limit (`ulimit -n`)",
    errno.ENFILE: "the system has no free file descriptors: raise `fs.file-max`",
    errno.EAGAIN: NO_MORE_TASKS,
    errno.ENOMEM: "memory is short: stop something, or raise the cgroup's `memory.max`",
}
