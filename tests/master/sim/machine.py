"""One machine and the masters that run on it one after the other, each of which may be killed at any step.

Units, launchers, records, adoption and keepers are the true ones; the kernel, the workers and time are made up.
"""

import asyncio
import json
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final

from hsu_worker.master.config import Config
from hsu_worker.master.event import Event
from hsu_worker.master.keeping import Keeper
from hsu_worker.master.launcher import cancel
from hsu_worker.master.launchers import Launchers
from hsu_worker.master.output import OutputPipe
from hsu_worker.master.output_files import OutputFiles
from hsu_worker.master.registry import Registrations
from hsu_worker.master.survivors import Survivors
from hsu_worker.master.tokens import Tokens
from hsu_worker.master.units import Units
from hsu_worker.wire.address import Address
from tests.master.sim import accidents, talk
from tests.master.sim.books import Broken
from tests.master.sim.clock import VirtualLoop
from tests.master.sim.disk import disk_of
from tests.master.sim.guard import Link
from tests.master.sim.kernel import Kernel, Proc
from tests.master.sim.patches import patched
from tests.master.sim.promises import Promises

#: Seconds in which all that goes on comes to its end.
SETTLE: Final = 25.0

#: Seconds between two looks at what was decided.
LOOK: Final = 0.25

#: Lines that a worker prints.
LINES: Final = 20

TABLE: Final = """
[units.{name}]
command = ["w"]
implements = ["hsu.test.v1.Kinds"]
cwd = "/"
lifetime = "survive"
survivor = "{survivor}"
env = {{ TABLE = "{table}" }}
restart = "{restart}"
preload = {preload}
idle = "never"
ping = "never"
stall = "5s"
start_timeout = "20s"
grace = "1s"
drain = "{drain}"
backoff = "100ms"
backoff_most = "1s"
"""


class Machine:
    """One seed.

    Args:
        seed: Decides everything.
    """

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.dice = Random(seed)
        self.trace: list[str] | None = [] if trace else None
        self.promises = Promises()
        self.kernel = Kernel(self.dice, self.promises.break_)
        self.lives = self.events = self.kills = 0
        self._seed = seed
        self._alive = False
        self._fuse = 0
        """Steps until the master is killed; 0: never."""
        self._root = Path()
        self._links: list[Link] = []
        self._outputs: list[OutputFiles] = []
        self._units: Units | None = None

    # The witness of what a master does.

    def step(self) -> bool:
        if self._alive:
            self.events += 1
            self._fuse -= 1
            if self._fuse == 0:
                self.kill()
        return self._alive

    def written(self, path: Path) -> None:
        record = json.loads(path.read_text()) if self._alive else {}
        if record.get("pid") and not record["ending"]:
            proc = self.kernel.worker(record["instance"])
            if proc is not None:
                proc.recorded = True

    def removed(self, path: Path) -> None:
        self.promises.removing(self.kernel, path)

    def note(self, what: object) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.kernel.now - 1000:8.3f} {what}")

    # The lives of masters.

    @property
    def folder(self) -> Path:
        """The survivors', as the master of the moment has it."""
        return self._root / str(self.lives)

    def run(self) -> None:
        # Where there is one, a file system in memory takes half of the time.
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        folder = tempfile.TemporaryDirectory(prefix="hsu-t-", dir=memory)
        with patched(self, self._seed), folder as name:
            self._root = Path(name)
            self.folder.mkdir()
            for _ in range(self.dice.randint(2, 4)):
                self._live(self._config(), doomed=self.dice.random() < 0.6)
                accidents.meanwhile(self)
            self._live(Config.from_text("", folder=name), doomed=False)
            self.promises.ended(self.kernel, self.folder)
        if self.promises.broken:
            raise Broken(self.promises.broken[0])

    def _config(self) -> Config:
        names = [name for name in ("a", "b") if self.dice.random() < 0.85]
        tables = (
            TABLE.format(
                name=name,
                survivor=self.dice.choice(("adopt", "adopt", "adopt", "stop")),
                table=self.dice.choice((1, 1, 1, 1, 1, 2)),
                preload=self.dice.choice(("true", "true", "false")),
                restart=self.dice.choice(("on-demand", "on-failure", "always", "never")),
                drain=self.dice.choice(("500ms", "3s", "3s")),
            )
            for name in names
        )
        routes = '[routes]\n"hsu.test.v1.Kinds" = "a"\n' if len(names) > 1 else ""
        return Config.from_text(routes + "".join(tables), folder=self._root)

    def _live(self, config: Config, *, doomed: bool) -> None:
        """One master, from its start to its end, whichever that is."""
        loop = VirtualLoop(self.kernel.now)
        loop.set_exception_handler(partial(self._failed, self.lives))
        self.kernel.follow(loop)
        self._alive, self._fuse = True, 0
        self._links, self._outputs, self._units = [], [], None
        self.note(f"master {self.lives} begins with {', '.join(config.units) or 'nothing'}")
        task = loop.create_task(self._master(config, doomed=doomed))
        if doomed and self.dice.random() < 0.6:
            self._fuse = self.dice.randint(1, 90)
        elif doomed:
            loop.call_later(self.dice.uniform(0.0, 9.0), self._kill_at_rest)
        try:
            loop.run_until_complete(task)
        except Exception as error:
            # What stops the loop of a killed one is no error.
            if self._alive:
                self.promises.break_(f"the master fails: {error!r}")
        finally:
            if self._alive:
                self._leave_behind()
            self.kernel.follow(None)
            self._bury(loop)

    def kill(self) -> None:
        """As SIGKILL, to the master and perhaps to its keeper: nothing of it does anything any more."""
        if not self._alive:
            return
        self.note("the master is killed")
        self.kills += 1
        if self.dice.random() < 0.4:
            self.kill_keeper()
        self._leave_behind()
        asyncio.get_running_loop().stop()

    def _kill_at_rest(self) -> None:
        """Between two steps: what it has decided others may have seen."""
        self._look()
        self.kill()

    def _look(self) -> None:
        if self._alive and self._units is not None:
            self.promises.decide(self._units)

    async def _pass_until_one_drains(self, units: Units) -> None:
        until = self.kernel.now + self.dice.uniform(0.0, 12.0)
        while self.kernel.now < until and not self.promises.open_drains(units):  # noqa: ASYNC110  there is no event
            await asyncio.sleep(LOOK)
        self.promises.upheld += bool(self._alive and self.promises.open_drains(units))

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            self._look()

    def kill_keeper(self) -> None:
        for link in self._links:
            link.kill()

    def _leave_behind(self) -> None:
        self._alive = False
        if self._units is not None:
            self.promises.heard(self._units)
        for link in self._links:
            link.sever()
        before = self.folder
        self.lives += 1
        shutil.copytree(before, self.folder)

    def _bury(self, loop: VirtualLoop) -> None:
        """Its tasks tidy up a folder that nobody looks at."""
        while tasks := asyncio.all_tasks(loop):
            for task in sorted(tasks, key=lambda task: (len(task.get_name()), task.get_name())):
                task.cancel()
            # One of them may wait for what another one would have done: it is told again.
            loop.run_until_complete(asyncio.wait(tasks, timeout=SETTLE))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        for each in self._outputs:
            each.close()

    async def _master(self, config: Config, *, doomed: bool) -> None:
        async with Keeper() as keeper:
            keeper._mark = f"{self.dice.getrandbits(64):016x}"
            launchers = Launchers(
                master_id="m",
                keeper=keeper,
                folder=self._root,
                registrations=Registrations(),
                tokens=Tokens(),
                gateway=Address(path=str(self._root / "m.sock")),
                survivors=Survivors(disk_of(self, self.folder)),
            )
            told: list[Event] = []

            def tell(event: Event) -> None:
                self.note(f"{event.unit} {event.kind} {event.trigger}")
                told.append(event)

            units = self._units = Units(tell, self.note)
            units.open(config, launchers)
            expected = self.promises.adoptable(self.kernel, self.folder, config.units)
            unwatched = self.promises.unwatched(self.kernel, self.folder, config.units)
            await units.adopt()
            if self._alive:
                self.promises.begun(self.kernel, units, expected)
                self.promises.told(unwatched, told)
            units.begin(config.units)
            deeds = self.dice.randint(0, 6) if units else 0
            tasks = [asyncio.create_task(accidents.deed(self, units)) for _ in range(deeds)]
            looking = asyncio.create_task(self._look_on())
            # The last one sees to it that nothing is left.
            hasty = bool(units) and self.dice.random() < 0.5
            if hasty:
                await self._pass_until_one_drains(units)
                if doomed:
                    self._kill_at_rest()
            else:
                await asyncio.gather(*tasks)
                await asyncio.sleep(SETTLE)
            before = self.promises.going_on(self.kernel, units)
            if self._alive and not hasty:
                self.promises.settled(self.kernel, units, self.folder)
            await units.close()
            await cancel(looking, *tasks)
            await units.close_logs()
            await launchers.close()
        if self._alive:
            self.promises.left(self.kernel, before, self.folder)

    def _failed(self, life: int, _loop: object, context: dict[str, Any]) -> None:
        if self._alive and self.lives == life:
            self.promises.break_(f"{context['message']}: {context.get('exception')!r}")

    # What is made up.

    def link(self, *args: Any) -> Link:
        link = Link(self.kernel, self.step, *args)
        self._links.append(link)
        self.step()
        return link

    def spawn(self, request: Any, descriptors: list[Any], mark: str) -> int:
        pid = talk.spawn(self.kernel, request, descriptors, mark)
        proc = self.kernel.table[pid]
        self.note(f"{proc} is made")
        self._print(proc)
        # What a dead master has asked for last, its keeper makes, and ends.
        if self._alive and any(link.guard is self.kernel.asker for link in self._links):
            self.promises.spawned(proc, self.folder)
        return pid

    def _print(self, proc: Proc) -> None:
        """A line now and then, whoever is there to read it."""
        path = self.folder / f"{proc.instance}.stdout"
        if not proc.live or proc.said == LINES:
            return
        if path.exists():
            with path.open("a") as file:
                file.write(f"{proc.instance} {proc.said}\n")
            proc.said += 1
        self.kernel.later(4.0, lambda: self._print(proc))

    def connection(self, address: Address, *, token: str, **_: object) -> talk.Line:
        return talk.Line(self.kernel, lambda: self._alive, address, token)

    async def read_pipe(self, reader: OutputPipe) -> tuple[Any, int]:
        descriptor, life = os.open(os.devnull, os.O_RDONLY), self.lives

        def take(data: bytes) -> None:
            # A pipe whose reader is dead takes nothing.
            if self._alive and self.lives == life:
                reader.data_received(data)

        self.kernel.readers[descriptor] = take
        return SimpleNamespace(close=lambda: None), descriptor

    def output_files(self, *args: Any) -> OutputFiles:
        self._outputs.append(OutputFiles(*args))
        return self._outputs[-1]
