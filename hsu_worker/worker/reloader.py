"""`serve --reload`: starts the worker anew when its code has changed.

This process imports neither grpc nor the user's code. The worker is a child of it that shares its
terminal, and hears from it by a pipe; see `hsu_worker.worker.reload_pipe`.
"""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing, suppress
from fnmatch import fnmatch
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from hsu_worker.errors import LaunchError
from hsu_worker.serving.terminal import terminal_restorer
from hsu_worker.worker.exit_codes import BEYOND_REPAIR, NOT_STARTED
from hsu_worker.worker.log_format import formatter
from hsu_worker.worker.options import Serving
from hsu_worker.worker.own_address import fixed
from hsu_worker.worker.reload_pipe import CHANGED

log = logging.getLogger(__name__)

#: Seconds that a worker has to leave when its code has changed: for its calls, its lifespans, and
#: what comes after them.
GRACE: Final = 20.0

#: What counts in any case.
PYTHON_FILES: Final = "*.py"


def run_reloading(options: Serving, folders: Sequence[Path], patterns: Sequence[str]) -> int:
    """Serve, and start anew after each change; returns the exit code.

    Args:
        options: What to serve, and how.

        folders: Where changes count, and below.

        patterns: The names of files that count, such as `*.py`.

    Raises:
        LaunchError: Changes can't be watched.

        AddressError: An address can't be listened on.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(options.log_format, sys.stderr))
    logging.basicConfig(level=options.log_level, handlers=[handler])
    # It tells of each change by itself.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    with fixed(options) as given:
        return asyncio.run(Reloader(given).run(changes(folders, patterns)))


async def changes(
    folders: Sequence[Path], patterns: Sequence[str]
) -> AsyncGenerator[Collection[str], None]:
    """The files that have changed, each time that some have.

    Raises:
        LaunchError: Changes can't be watched.
    """
    try:
        import watchfiles
    except ImportError:
        raise LaunchError("--reload needs watchfiles: pip install 'hsu-worker[reload]'") from None
    usual = watchfiles.DefaultFilter()

    def counts(change: watchfiles.Change, path: str) -> bool:
        name = os.path.basename(path)
        return usual(change, path) and any(fnmatch(name, pattern) for pattern in patterns)

    try:
        async for found in watchfiles.awatch(*folders, watch_filter=counts):
            yield {path for _, path in found}
    except OSError as error:
        where = ", ".join(map(str, folders))
        raise LaunchError(f"--reload can't watch {where}: {error}") from None


class Reloader:
    """Runs one worker after the other; the next one never before the last one has gone."""

    def __init__(self, options: Serving) -> None:
        self._options = options
        self._news = asyncio.Event()
        self._changed: set[str] = set()
        self._signals: list[int] = []
        self._failure: LaunchError | None = None
        self._child: Child | None = None
        self._restore_terminal = terminal_restorer()

    async def run(self, watch: AsyncGenerator[Collection[str], None]) -> int:
        """To the end; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        watching = asyncio.create_task(self._watch(watch))
        # Its first step begins to watch.
        await asyncio.sleep(0)
        try:
            while not (self._signals or self._failure):
                code = await self._run_one()
                if code is not None:
                    return code
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            watching.cancel()
            await asyncio.wait((watching,))
        if self._failure is not None:
            raise self._failure
        by_signal = 128 + self._signals[-1]
        # Two that come at once are one to a busy process, and the worker may have heard both.
        is_hurried = len(self._signals) > 1 or (self._child and self._child.code == by_signal)
        return by_signal if is_hurried else 0

    async def _run_one(self) -> int | None:
        """One worker, until nothing is left of it; returns the exit code when it was the last."""
        for file in self._changed:
            _forget_bytecode(file)
        self._changed.clear()
        child = self._child = await Child.start(self._options, self._news.set)
        try:
            await self._until(lambda: child.code is not None)
            if child.code == 0:
                return 0
            if child.code == BEYOND_REPAIR:
                return NOT_STARTED
            if child.code is not None:
                log.warning("the worker has ended with %s; waiting for a change", _how(child.code))
                await self._until(lambda: False)
            elif self._changed:
                log.info("%s; the worker is started anew", _said(self._changed))
                child.say(CHANGED)
                await child.gone(GRACE)
        finally:
            child.hang_up()
            await child.gone()
            # It may have been killed at a breakpoint.
            self._restore_terminal()
        return None

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds, the code has changed, or the reloader has to leave."""
        while not (condition() or self._changed or self._signals or self._failure):
            self._news.clear()
            await self._news.wait()

    async def _watch(self, watch: AsyncGenerator[Collection[str], None]) -> None:
        try:
            async with aclosing(watch):
                async for files in watch:
                    self._changed.update(files)
                    self._news.set()
        except LaunchError as error:
            self._failure = error
            self._news.set()

    def _signalled(self, number: int) -> None:
        self._signals.append(number)
        self._news.set()
        if self._child is not None:
            # From the terminal it has the signal, too; a second one ends everything at once.
            self._child.hang_up()
            if len(self._signals) > 1:
                self._child.kill()


class Child:
    """A worker, and the pipe to it."""

    def __init__(self, process: Process, pipe: int, news: Callable[[], None]) -> None:
        self._process = process
        self._pipe: int | None = pipe
        self.code: int | None = None
        """How it ended."""
        self._waiting = asyncio.create_task(self._wait(news))

    @classmethod
    async def start(cls, options: Serving, news: Callable[[], None]) -> "Child":
        """Start one.

        Args:
            options: What it serves.

            news: Called when it has ended.
        """
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                # The folder from which we were started is no place for modules, unless it is asked for.
                "-P",
                "-m",
                "hsu_worker.worker.reloaded",
                str(read),
                pass_fds=(read,),
            )
        finally:
            os.close(read)
        child = cls(process, write, news)
        child.say(options.to_json().encode() + b"\n")
        return child

    def say(self, line: bytes) -> None:
        """Write a line for it to read."""
        # It may have ended.
        with suppress(BrokenPipeError):
            if self._pipe is not None:
                os.write(self._pipe, line)

    def hang_up(self) -> None:
        """Let it leave for good."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def gone(self, within: float | None = None) -> None:
        """Wait until it has ended; kill it when that takes too long.

        Args:
            within: Seconds; None: as long as it takes.
        """
        await asyncio.wait((self._waiting,), timeout=within)
        if self.code is None:
            if within is not None:
                log.warning("the worker has not left within %g s, and is killed", within)
            self.kill()
            await asyncio.wait((self._waiting,))

    async def _wait(self, news: Callable[[], None]) -> None:
        self.code = await self._process.wait()
        news()


def _forget_bytecode(file: str) -> None:
    # Python compares seconds and size alone: after two changes in one second it runs the first one.
    with suppress(OSError, NotImplementedError):
        os.unlink(cache_from_source(file))


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _said(files: Collection[str]) -> str:
    """Which ones have changed; a few of many."""
    names = sorted(map(os.path.relpath, files))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    verb = "has" if len(names) == 1 else "have"
    return f"{', '.join(names[:3])}{more} {verb} changed"
