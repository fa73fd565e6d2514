"""Masters of true processes for tests, with their events in a queue."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from hsu_worker.master import Config, Event, Master
from tests.gen.hsu_test_kinds import Kinds, KindsClient
from tests.worker.process import ROOT, write_service

KINDS = '["hsu.test.v1.Kinds"]'


def text(launch: str, *more: str, implements: str = KINDS, env: str = "") -> str:
    """An `hsu.toml` with one unit, `u`."""
    lines = [f'env = {{PYTHONPATH = "{ROOT}"{env}}}'] if launch.split()[0] in _LAUNCHED else []
    return "\n".join(["[units.u]", launch, f"implements = {implements}", *lines, *more])


_LAUNCHED = ("app", "command")


def app(folder: Path, body: str = "", *, before: str = "") -> str:
    """Write a service; returns the line that launches it."""
    return f'app = "{write_service(folder, body, before=before)}"'


def count_starts(folder: Path) -> str:
    """Code for a module that notes each process that imports it."""
    return f"open({str(folder / 'starts')!r}, 'a').write(f'{{os.getpid()}}\\n')"


def starts(folder: Path) -> list[int]:
    """The pids of the processes that imported it."""
    return [int(line) for line in (folder / "starts").read_text().split()]


def processes_in(folder: Path) -> list[int]:
    """The live processes whose working directory is a folder."""
    return [pid for pid in _pids() if _cwd(pid) == str(folder)]


def _pids() -> Iterable[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


class Running:
    """A master that runs, and what it told."""

    def __init__(self, config: Config) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.told: list[Event] = []
        self.on_event: Callable[[Event], object] = _look_on
        self.master = Master(config, on_event=self._take)

    def _take(self, event: Event) -> None:
        self.told.append(event)
        self.on_event(event)
        self.events.put_nowait(event)

    @property
    def kinds(self) -> KindsClient:
        return self.master.client(Kinds)

    async def event(self, kind: str) -> Event:
        """Wait for the next event of a kind; those before it are skipped."""
        async with asyncio.timeout(20):
            while (event := await self.events.get()).kind != kind:
                pass
            return event

    def lines(self, source: str) -> list[str]:
        return [line.text for line in self.master.log("u") if line.source == source]


def _look_on(_: Event) -> None:
    """It is only told."""


@asynccontextmanager
async def running(folder: Path, toml: str) -> AsyncGenerator[Running, None]:
    it = Running(Config.from_text(toml, folder=folder))
    async with it.master:
        yield it
