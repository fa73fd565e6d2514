"""Processes for the master, started and watched by its keeper."""

import asyncio
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from hsu_worker.errors import LaunchError
from hsu_worker.master.keeper.processes import LINUX
from hsu_worker.master.keeper_link import KeeperLink
from hsu_worker.master.process import Exit, Process

__all__ = ["Exit", "Keeper", "Process"]

_log = logging.getLogger(__name__)

#: So many deaths of keepers within so many seconds are an error of something else: the next keeper
#: has to wait.
DEATHS: Final = 5
WINDOW: Final = 60.0
PAUSE: Final = 1.0


class Keeper:
    """
    Starts commands through one keeper process, which is started with the first of them.

    If the keeper process dies, another one takes over what it started: signals reach it as before, and it
    still ends with the master. Only the exits of these processes are unknown, since the new keeper is not
    their parent. What can't be proved to be the same process (pid, start and mark agree) is left alone, and
    reported as gone.

    Example:
        async with Keeper() as keeper:
            process = await keeper.spawn(["sleep", "60"], env={}, cwd="/", stdin=0, stdout=1, stderr=2)
            process.signal(signal.SIGTERM)
            print(await process.exited())  # killed by SIGTERM
            await process.gone()
    """

    def __init__(self) -> None:
        self._mark = os.urandom(8).hex()
        self._numbers = itertools.count(1)
        self._processes: dict[int, Process] = {}
        self._link: KeeperLink | None = None
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._next: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[bool]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop what still runs (SIGTERM, then SIGKILL) and wait for the end of the keeper."""
        self._closed = True
        if self._next is not None:
            self._next.cancel()
        await asyncio.shield(asyncio.create_task(self._close()))

    async def _close(self) -> None:
        for _ in range(DEATHS):
            if self._link is None and self._processes and LINUX:
                # The one that should have stopped them was killed itself.
                self._take_over()
            link, self._link = self._link, None
            if link is None or await link.close():
                break
        await asyncio.gather(*self._leaving)
        for process in self._processes.values():
            process.lose()
        self._processes.clear()

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | os.PathLike[str],
        stdin: int,
        stdout: int,
        stderr: int,
        announce: int | None = None,
        template: Mapping[str, object] | None = None,
        limits: Mapping[str, object] | None = None,
        before: Callable[[str], None] | None = None,
    ) -> Process:
        """
        Start a command in a session of its own.

        The descriptors stay the caller's, who may close them when this returns. The command finds the number
        of `announce` in the variable HSU_ANNOUNCE_FD. With a `template`, see `template_of`, a fork of that
        becomes the command; if it can't, the command is started by itself, and `unforkable` says why. For the `limits` see `process_limits`. `before` is called with the mark of the process
        that is about to be. When this is cancelled, it ends with nothing left of the command.

        Raises:
            LaunchError: The command could not be started; the message says why.
            OSError: A descriptor is closed.
        """
        if self._closed:
            raise LaunchError("the keeper is closed: start commands inside its `async with`")
        if not argv:
            raise LaunchError("the command is empty: name a program")
        link = self._link or self._connect()
        number = next(self._numbers)
        process = Process(number, argv, cwd, self._send, mark=f"{self._mark}/{number}")
        if before is not None:
            before(process.mark)
        given = (stdin, stdout, stderr) if announce is None else (stdin, stdout, stderr, announce)
        link.send(
            process.request(env, announce=announce is not None, template=template, limits=limits),
            given,
        )
        self._processes[process.number] = process
        await process.started()
        return process

    def adopt(self, mark: str, pid: int, start: int, *, outlives: bool = False) -> Process:
        """
        Watch and signal a process that another master's keeper has started; it ends with this master,
        unless it outlives that.

        The keeper proves who it is (pid, start and mark agree); what it can't prove is reported as gone, and
        never signalled.

        Raises:
            LaunchError: There is no keeper.
        """
        link = self._link or self._connect()
        number = next(self._numbers)
        process = Process(number, (mark,), "/", self._send, mark=mark, known=(pid, start))
        if outlives:
            # The keeper learns it with the takeover: a master may be killed after it.
            process.outlive()
        self._processes[number] = process
        link.send({"op": "take-over", "units": [process.handover()]})
        return process

    def warm(self, template: Mapping[str, object]) -> None:
        """
        Have a template ready before a command is to be forked from it.

        Raises:
            LaunchError: There is no keeper.
        """
        link = self._link or self._connect()
        link.send({"op": "warm", "template": template})

    def keep_templates(self, wanted: Sequence[Mapping[str, object]]) -> None:
        """End all other templates; one that a command waits for becomes it first."""
        self._send({"op": "keep", "templates": wanted})

    def _send(self, request: Mapping[str, object]) -> None:
        if self._link is not None:
            self._link.send(request)

    def _connect(self) -> KeeperLink:
        """Start a keeper process, and hand over to it what others have started."""
        units = [process.handover() for process in self._processes.values()]
        first = {"op": "take-over", "units": units} if units else None
        link = self._link = KeeperLink(self._mark, self._received, self._ended, first)
        if self._next is not None:
            self._next.cancel()
        return link

    def _received(self, event: Mapping[str, Any]) -> None:
        number = event.get("id")
        process = self._processes.get(number) if isinstance(number, int) else None
        if process is None:
            _log.error("the keeper sent what belongs to no process: %s", dict(event))
            return
        process.on_event(event)
        if process.over:
            del self._processes[process.number]

    def _ended(self, link: KeeperLink) -> None:
        self._link = None
        loop = asyncio.get_running_loop()
        task = loop.create_task(link.close())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        count = len(self._processes)
        if not count:
            _log.error("the keeper ended unexpectedly: the next start brings another one")
            return
        if not LINUX:
            # Neither the start nor the environment of a process can be read: nothing can be proved.
            _log.error("the keeper ended unexpectedly: how its %d processes end is unknown", count)
            for process in self._processes.values():
                process.lose()
            self._processes.clear()
            return
        _log.error("the keeper ended unexpectedly: another one takes over its %d processes", count)
        self._deaths.append(loop.time())
        if len(self._deaths) == DEATHS and loop.time() - self._deaths[0] < WINDOW:
            _log.error(
                "%d keepers have ended within %.0f s: find out who kills them (the kernel's log names "
                "what ran out of memory)",
                DEATHS,
                WINDOW,
            )
            self._take_over_later()
        else:
            self._take_over()

    def _take_over(self) -> None:
        if not self._processes or self._link is not None:
            return
        try:
            self._connect()
        except LaunchError as error:
            count = len(self._processes)
            _log.error("%d processes are without a keeper for %.1f s: %s", count, PAUSE, error)
            self._take_over_later()

    def _take_over_later(self) -> None:
        for process in self._processes.values():
            process.give_up_start()
        if not self._closed:
            self._next = asyncio.get_running_loop().call_later(PAUSE, self._take_over)
