"""Workers that outlive their master, and the master that comes after it."""

import asyncio
import itertools
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.errors import ConfigError, Unavailable
from hsu_worker.master import Config, Event, Master
from hsu_worker.master.keeper.processes import process_line
from hsu_worker.master.survivors import Record, Survivors
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds, KindsClient
from tests.master.running import app, processes_in, starts, text
from tests.master.test_death import keepers_of
from tests.until import until
from tests.worker.process import ROOT, environment

SURVIVES = 'lifetime = "survive"'

#: A master of its own process, which is killed: it starts `u`, says so, and waits.
SCRIPT = """
import asyncio, sys
{prelude}
from hsu_worker.master import Config, Master
from tests.gen.hsu_test_kinds import Ask, Kinds
async def main():
    async with Master(Config.from_file(sys.argv[1])) as master:
        for unit in sys.argv[2:]:
            await master.start(unit)
        print("started", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""

#: Prints a numbered line each 2 ms, whether or not somebody reads, from its import on.
PRINTS = """
def talk():
    for number in range(100000):
        print("line", number, flush=True)
        time.sleep(0.002)
threading.Thread(target=talk, daemon=True).start()
"""

#: Loads until it may go on.
WAITS = """
@lifespan
async def model(self):
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    yield
"""

COUNT = "open('starts', 'a').write(f'{os.getpid()}\\n')"


class World:
    """A folder with an `hsu.toml`, and the masters that run with it, one after the other."""

    prelude = ""
    """What a master of its own process does first."""

    def __init__(self, folder: Path, *more: str, launch: str = "", before: str = COUNT) -> None:
        self.folder = folder
        self.file = folder / "hsu.toml"
        self.write(*more, launch=launch or app(folder, before=before))
        self.told: list[Event] = []

    def write(self, *more: str, launch: str) -> None:
        self.launch = launch
        runtime = f'[master]\nruntime_dir = "{self.folder / "r"}"\n'
        self.file.write_text(runtime + text(launch, SURVIVES, *more))

    @asynccontextmanager
    async def killed(
        self, *units: str, script: str = SCRIPT
    ) -> AsyncGenerator[asyncio.subprocess.Process, None]:
        """A master that is killed at the end of the block, once it has started the units."""
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-c",
                script.replace("{prelude}", self.prelude),
                str(self.file),
                *units,
            ),
            cwd=ROOT,
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        try:
            async with asyncio.timeout(30):
                if units:
                    assert b"started\n" == await process.stdout.readline()
                yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    @asynccontextmanager
    async def master(self) -> AsyncGenerator[Master, None]:
        self.told = []
        async with Master(Config.from_file(self.file), on_event=self.told.append) as master:
            yield master

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in self.folder.glob("r/hsu_surv*/*.json")]

    @property
    def record(self) -> Path:
        (path,) = self.folder.glob("r/hsu_surv*/*.json")
        return path

    @property
    def record_folder(self) -> Path:
        (folder,) = self.folder.glob("r/hsu_surv*")
        return folder

    @property
    def output(self) -> Path:
        (path,) = self.record_folder.glob("*.stdout")
        return path

    def logged(self) -> list[int]:
        """The numbers of the lines in the log file; the last one may be half written yet."""
        if not (self.folder / "u.log").exists():
            return []
        whole, _, _ = (self.folder / "u.log").read_text().rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        texts = [line["text"] for line in lines if line.get("source") == "stdout"]
        return [int(text.split()[1]) for text in texts if text.startswith("line ")]

    def forge(self, pid: int = 0, /, **fields: object) -> None:
        (record,) = [each for each in self.records if pid in (0, each["pid"])]
        path = self.record_folder / f"{record['instance']}.json"
        path.write_text(json.dumps(record | fields))
        path.rename(path.with_stem(str(fields.get("instance", path.stem))))

    def story(self) -> list[tuple[str, str]]:
        return [(event.kind, event.trigger) for event in self.told]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as name:
        yield Path(name)
        end_all_in(Path(name))


def end_all_in(folder: Path) -> None:
    """What a test leaves behind would outlive it."""
    for pid in processes_in(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def pid_file(path: Path) -> bool:
    """It belongs to one worker."""
    return path.suffix in (".json", ".cursor", ".stdout", ".stderr")


def lives(pid: int) -> bool:
    line = process_line(pid)
    return line is not None and line.live


async def test_t24_a_restarted_master_adopts_the_worker(folder: Path) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    for _ in range(2):
        async with world.master() as master:
            assert [("starting", "adopt"), ("ready", "start")] == world.story()
            client = master.client(Kinds)
            answers = await asyncio.gather(
                *(client.unary(Ask(text=str(n)), timeout=20) for n in range(50))
            )
            assert [str(n) for n in range(50)] == [answer.text for answer in answers]
            assert master.status()["u"].pid == pid
        # It has left in order, and let it go.
        assert lives(pid)
    assert [pid] == starts(folder)
    async with world.master() as master:
        await master.stop("u")
        await until(lambda: not lives(pid))
        assert [] == world.records
        await master.client(Kinds).unary(Ask(), timeout=20)
        assert 2 == len(starts(folder))
        assert 1 == len(world.records)


async def test_t22_the_bound_ones_end_with_their_master_and_the_survivor_answers(
    folder: Path,
) -> None:
    """One is bound and importing, one is bound and busy, one survives and is busy."""
    for name in ("importing", "busy"):
        (folder / name).mkdir()
    sleeps = (
        "async def unary(self, request):\n    Path('begun').touch()\n    await asyncio.sleep(60)"
    )
    world = World(folder)
    bound = [
        text(app(folder / "busy", sleeps), 'cwd = "busy"').replace("units.u", "units.busy"),
        text(app(folder / "importing", before="time.sleep(60)"), 'cwd = "importing"').replace(
            "units.u", "units.importing"
        ),
    ]
    routes = '[routes]\n"hsu.test.v1.Kinds" = "u"\n'
    world.file.write_text("\n".join([world.file.read_text(), *bound, routes]))
    script = SCRIPT.replace(
        'print("started", flush=True)',
        'print("started", flush=True)\n'
        '        busy = asyncio.ensure_future(master.client(Kinds, unit="busy").unary(Ask()))\n'
        '        slow = asyncio.ensure_future(master.start("importing"))',
    )
    async with world.killed("u", script=script) as process:
        (pid,) = starts(folder)
        (keeper,) = keepers_of(process.pid)
        await until(lambda: (folder / "busy" / "begun").exists())
        await until(lambda: processes_in(folder / "importing"))
        process.kill()
        await until(lambda: not processes_in(folder / "importing") + processes_in(folder / "busy"))
        await until(lambda: not lives(keeper))
    (record,) = world.records
    connection = Connection.open(Address.parse(record["address"]), token=record["token"])
    answer = await KindsClient(connection).unary(Ask(text="alone"), timeout=20)
    await connection.close()
    assert ("alone", [pid]) == (answer.text, processes_in(folder))


async def test_t23_what_was_not_claimed_ends_by_itself_or_with_the_next_master(
    folder: Path,
) -> None:
    """Keeper and master are killed while the worker imports: nobody ends it, and nobody claims it."""
    world = World(folder, before=f"{COUNT}; time.sleep(3)")
    script = SCRIPT.replace(
        "for unit in sys.argv[2:]:", 'print("started", flush=True)\n        for unit in ["u"]:'
    )
    async with world.killed("u", script=script) as process:
        await until(lambda: (folder / "starts").exists() and starts(folder))
        (keeper,) = keepers_of(process.pid)
        os.kill(keeper, signal.SIGKILL)
        process.kill()
        await process.wait()
    (pid,) = starts(folder)
    (record,) = world.records
    assert (lives(pid), record["pid"]) == (True, 0)

    async with world.master() as master:
        assert ([], []) == (processes_in(folder), world.records)
        await master.client(Kinds).unary(Ask(), timeout=20)
        assert pid not in processes_in(folder)
        assert 1 == len(processes_in(folder))


async def test_t23_a_master_that_is_killed_during_a_start_takes_the_worker_with_it(
    folder: Path,
) -> None:
    world = World(folder, before=f"{COUNT}; time.sleep(60)")
    script = SCRIPT.replace(
        "for unit in sys.argv[2:]:", 'print("started", flush=True)\n        for unit in ["u"]:'
    )
    async with world.killed("u", script=script):
        await until(lambda: (folder / "starts").exists() and starts(folder))
    await until(lambda: not processes_in(folder))


@pytest.mark.parametrize(
    "forged",
    [
        {"start": 1},
        {"boot": "0d0e0f00-0000-0000-0000-000000000000"},
        {"mark": "0123456789abcdef/1"},
        {"instance": "0123456789abcdef" * 2},
        {"token": "x"},
    ],
    ids=lambda forged: next(iter(forged)),
)
async def test_t25_a_record_of_which_one_thing_is_wrong_leads_to_no_signal(
    folder: Path, forged: dict[str, str]
) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    world.forge(**forged)
    async with world.master() as master:
        await master.client(Kinds).unary(Ask(), timeout=20)
        assert lives(pid)
        assert 2 == len(starts(folder))
    assert lives(pid)


async def test_t25_a_record_of_a_strangers_pid_leads_to_no_signal(folder: Path) -> None:
    world = World(folder, "grace = '0s'")
    async with world.killed("u"):
        (pid,) = starts(folder)
    os.kill(pid, signal.SIGKILL)
    stranger = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    line = process_line(stranger.pid)
    assert line
    world.forge(pid=stranger.pid, start=line.start)
    async with world.master() as master:
        (failed,) = [event for event in master.why("u") if event.kind == "failed"]
        assert (
            f"pid {stranger.pid} does not carry the mark of this worker, and is left alone"
            in failed.detail
        )
        await master.client(Kinds).unary(Ask(), timeout=20)
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("[]", "it has other fields"),
        ('{"pid": 1}', "it has other fields"),
    ],
)
async def test_t25_a_damaged_record_is_kept_aside_and_told(
    folder: Path, damage: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    path = world.record
    path.write_text(damage)
    async with world.master() as master:
        assert (lives(pid), master.status()["u"].phase) == (True, "absent")
        (told,) = [text for text in caplog.messages if str(path) in text]
        assert told.startswith(f"{path}: not the record of a worker: {reason}")
        assert told.endswith(
            "; nothing of it is adopted, signalled or removed, and it is kept as "
            f"{path.with_suffix('.damaged').name}; its worker, pid {pid}, still runs, and is left "
            f"alone: end it with: kill {pid}"
        )
    assert damage == path.with_suffix(".damaged").read_text()


@pytest.mark.parametrize(
    ("restart", "state"), [("on-demand", "absent"), ("never", "faulted"), ("always", "ready")]
)
async def test_t26_an_end_that_nobody_saw_is_unknown_and_the_policy_holds(
    folder: Path, restart: str, state: str
) -> None:
    world = World(folder, f'restart = "{restart}"')
    async with world.killed("u"):
        (pid,) = starts(folder)
    # It leaves in order, with exit code 0, which nobody sees.
    os.kill(pid, signal.SIGTERM)
    await until(lambda: not lives(pid))
    async with world.master() as master:
        (failed,) = [event for event in master.why("u") if event.kind == "failed"]
        assert failed.crash
        assert (None, None, "exit code unknown") == (
            failed.crash.code,
            failed.crash.signal,
            failed.crash.text,
        )
        assert (
            "it ended while no master ran, with exit code unknown: its process, "
            f"pid {pid}, is no longer there" in failed.detail
        )
        await until(lambda: master.status()["u"].phase == state)
        assert (restart == "always") + 1 == len(starts(folder))


def numbers(master: Master) -> list[int]:
    lines = (line.text for line in master.log("u") if line.source == "stdout")
    return [int(line.split()[1]) for line in lines if line.startswith("line ")]


async def prints_on(world: World) -> None:
    """It prints while nobody reads, and lives."""
    size = world.output.stat().st_size
    await until(lambda: world.output.stat().st_size > size + 2000)


async def test_t27_whoever_prints_lives_on_and_no_line_is_lost(folder: Path) -> None:
    world = World(folder, f'log_file = "{folder / "u.log"}"', before=f"{COUNT}\n{PRINTS}")
    for _ in range(3):
        last = world.logged()[-1:]
        async with world.killed("u"):
            await until(lambda: world.logged()[-1:] > last)  # noqa: B023
        await prints_on(world)
    async with world.master() as master:
        last = world.logged()[-1:]
        await until(lambda: numbers(master)[-1:] > [last[0] + 100])
        (pid,) = starts(folder)
        assert (lives(pid), master.status()["u"].pid) == (True, pid)
    found = world.logged()
    # What a killed master had not yet written down as stored, the next one stores again.
    assert list(range(found[-1] + 1)) == sorted(set(found))


async def test_t27_masters_that_leave_in_order_store_each_line_once(folder: Path) -> None:
    world = World(folder, f'log_file = "{folder / "u.log"}"', before=f"{COUNT}\n{PRINTS}")
    for _ in range(3):
        async with world.master() as master:
            await master.start("u")
            last = world.logged()[-1:]
            await until(lambda: world.logged()[-1:] > last)  # noqa: B023
        await prints_on(world)
    found = world.logged()
    assert list(range(found[-1] + 1)) == found
    assert 1 == len(starts(folder))


async def test_t27_the_last_words_of_one_that_ended_unwatched_are_kept(folder: Path) -> None:
    world = World(folder, before=f"{COUNT}\n{PRINTS}")
    async with world.killed("u"):
        (pid,) = starts(folder)
    size = world.output.stat().st_size
    await until(lambda: world.output.stat().st_size > size + 2000)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(pid))
    written = world.output.read_bytes().splitlines()
    async with world.master() as master:
        assert [int(written[-1].split()[1])] == numbers(master)[-1:]
        (failed,) = [event for event in master.why("u") if event.kind == "failed"]
        assert failed.crash
        assert written[-1].decode() == failed.crash.output[-1]
        assert [] == [path for path in world.record_folder.iterdir() if pid_file(path)]


async def test_a_record_of_its_log_is_taken_once(folder: Path) -> None:
    says = "async def unary(self, request):\n    logging.getLogger('mine').warning(request.text)"
    before = f"import logging; {COUNT}"
    world = World(folder, launch=app(folder, says + "\n    return Answer()", before=before))
    for text_ in ("one", "two", "three"):
        async with world.master() as master:
            await master.client(Kinds).unary(Ask(text=text_), timeout=20)
            await until(lambda: [x.text for x in master.log("u") if x.source == "mine"] == [text_])  # noqa: B023
    assert 1 == len(starts(folder))


async def test_t24_a_restart_under_load_loses_no_call_to_the_survivor_and_no_line(
    folder: Path,
) -> None:
    says = """
async def unary(self, request):
    print("line", request.number, flush=True)
    return Answer(number=request.number)
"""
    log = f'log_file = "{folder / "u.log"}"'
    world = World(folder, log, launch=app(folder, says, before=COUNT))
    answered: list[int] = []
    numbers_ = itertools.count()
    adopted = asyncio.Event()
    enough = asyncio.Event()

    async def caller(client: KindsClient) -> None:
        reached = False
        while not enough.is_set():
            number, answer = next(numbers_), None
            began_after = False
            while answer is None:
                began_after = adopted.is_set()
                try:
                    answer = await client.unary(Ask(number=number), timeout=20)
                except Unavailable:
                    # Until its channel, which grpc gives a pause, has found the next master.
                    assert not reached
                    await asyncio.sleep(0.01)
            answered.append(answer.number)
            reached = began_after

    callers: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        async with world.killed("u"):
            (record,) = world.records
            # Where its own calls go, with its own token: both hold for the next master, too.
            gateway = Address(path=str(world.record_folder / "master.sock"))
            connections = [
                Connection.open(gateway, token=record["master_token"]) for _ in range(12)
            ]
            callers += [group.create_task(caller(KindsClient(each))) for each in connections]
            await until(lambda: len(answered) > 300)
        async with world.master() as master:
            adopted.set()
            before = len(answered)
            await until(lambda: len(answered) > before + 600)
            assert master.status()["u"].pid == record["pid"]
            enough.set()
            await asyncio.wait(callers)
            await until(lambda: set(answered) <= set(world.logged()))
    for connection in connections:
        await connection.close()
    assert len(set(answered)) == len(answered)
    assert [record["pid"]] == starts(folder)


async def test_an_adopted_worker_is_swapped_and_idles_as_any_other(folder: Path) -> None:
    world = World(folder, 'idle = "300ms"')
    async with world.killed("u"):
        (pid,) = starts(folder)
    async with world.master() as master:
        await master.swap("u")
        assert not lives(pid)
        (_, new) = starts(folder)
        assert ([new], [new]) == (processes_in(folder), [each["pid"] for each in world.records])
        await until(lambda: not lives(new))
        assert ["idle"] == [event.trigger for event in world.told if event.kind == "stopping"][-1:]
        await until(lambda: world.records == [])


async def test_an_adopted_worker_idles(folder: Path) -> None:
    world = World(folder, 'idle = "300ms"')
    async with world.killed("u"):
        (pid,) = starts(folder)
    async with world.master() as master:
        await until(lambda: master.status()["u"].phase == "absent")
        assert not lives(pid)


async def test_an_adopted_worker_that_is_killed_is_started_again(folder: Path) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    async with world.master() as master:
        os.kill(pid, signal.SIGKILL)
        await until(lambda: master.status()["u"].phase == "absent")
        (ended,) = [event for event in world.told if event.kind == "exited"]
        assert ended.crash
        assert "exit code unknown" == ended.crash.text
        await master.client(Kinds).unary(Ask(), timeout=20)
        assert 2 == len(starts(folder))


async def test_a_start_that_was_claimed_goes_on_without_a_master(folder: Path) -> None:
    world = World(folder, launch=app(folder, WAITS, before=COUNT))
    script = SCRIPT.replace(
        "for unit in sys.argv[2:]:", 'print("started", flush=True)\n        for unit in ["u"]:'
    )
    async with world.killed("u", script=script):
        await until(lambda: [each["pid"] for each in world.records] not in ([], [0]))
    (pid,) = starts(folder)
    (folder / "go").touch()
    async with world.master() as master:
        await master.client(Kinds).unary(Ask(), timeout=20)
        assert (master.status()["u"].pid, starts(folder)) == (pid, [pid])


@pytest.mark.parametrize("forged", [False, True])
async def test_t24_of_both_workers_of_a_swap_the_older_one_that_answers_is_adopted(
    folder: Path, forged: bool
) -> None:
    world = World(folder, launch=app(folder, WAITS, before=COUNT))
    (folder / "go").touch()
    gone = f"os.unlink({str(folder / 'go')!r})"
    swaps = f'{gone}\n        swap = asyncio.ensure_future(master.swap("u"))\n        print('
    script = SCRIPT.replace("import asyncio, sys", "import asyncio, os, sys")
    script = script.replace("print(", swaps)
    async with world.killed("u", script=script):
        await until(lambda: len(world.records) == 2 and all(each["pid"] for each in world.records))
    old, new = (each["pid"] for each in sorted(world.records, key=lambda each: each["start"]))
    if forged:
        world.forge(old, instance="0123456789abcdef" * 2)
    (folder / "go").touch()
    async with world.master() as master:
        await master.client(Kinds).unary(Ask(), timeout=20)
        assert master.status()["u"].pid == (new if forged else old)
        # What answers as another one is left alone.
        assert (lives(old), lives(new)) == (True, forged)
    assert [old, new] == starts(folder)


async def test_t24_a_worker_whose_end_had_begun_is_ended(folder: Path) -> None:
    leaves = """
@lifespan
async def model(self):
    yield
    while not Path("go").exists():
        await asyncio.sleep(0.02)
"""
    world = World(folder, launch=app(folder, leaves, before=COUNT))
    script = SCRIPT.replace(
        'print("', 'stop = asyncio.ensure_future(master.stop("u"))\n        print("'
    )
    async with world.killed("u", script=script):
        await until(lambda: [each["ending"] for each in world.records] == [True])
    (pid,) = starts(folder)
    assert lives(pid)
    (folder / "go").touch()
    async with world.master() as master:
        assert ("absent", []) == (master.status()["u"].phase, world.records)
        assert not lives(pid)
        await master.client(Kinds).unary(Ask(), timeout=20)
    assert 2 == len(starts(folder))


def test_records_are_read_in_the_order_in_which_their_processes_began(folder: Path) -> None:
    survivors = Survivors(folder)
    for number, start in enumerate((3, 1, 2)):
        survivors.write(
            Record(
                unit="u",
                instance=f"{number:032x}",
                launch="",
                boot="",
                mark="0a/1",
                address="unix:/s",
                token="",
                master_token="",
                pid=100 + number,
                start=start,
            )
        )
    assert [1, 2, 3] == [record.start for record in survivors.read()]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('survivor = "stop"', 'survivor = "stop"'),
        ('env_file = "env"', "its table has changed"),
        ('lifetime = "bound"', "its unit doesn't survive any more"),
        (None, "there is no such unit"),
    ],
)
async def test_what_nobody_wants_any_more_is_ended(
    folder: Path, more: str | None, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(folder)
    async with world.killed("u"):
        (pid,) = starts(folder)
    (folder / "env").touch(0o600)
    written = world.file.read_text()
    if more is None:
        world.file.write_text(written.replace("units.u", "units.other"))
    else:
        bound = written.replace(SURVIVES, "") if "bound" in more else written
        world.file.write_text(f"{bound}\n{more}\n")
    async with world.master():
        assert ([], []) == (processes_in(folder), world.records)
        assert [
            f"unit 'u': what an earlier master left is not adopted: {why}; its end: exit code unknown"
        ] == [text for text in caplog.messages if "unit 'u'" in text]
        assert not lives(pid)


async def test_one_master_at_a_time_has_the_survivors_of_a_file(folder: Path) -> None:
    world = World(folder)
    expected = (
        f"{world.file}: another master (pid {{}}) runs with it, and has its surviving workers; "
        "stop that one first"
    )
    async with world.killed("u") as process:
        with pytest.raises(ConfigError) as refused:
            await Master(Config.from_file(world.file)).__aenter__()
        assert expected.format(process.pid) == str(refused.value)
    async with world.master():
        with pytest.raises(ConfigError) as refused:
            await Master(Config.from_file(world.file)).__aenter__()
        assert expected.format(os.getpid()) == str(refused.value)


async def test_a_configuration_without_a_file_has_no_survivors(folder: Path) -> None:
    config = Config.from_text(text(app(folder), SURVIVES), folder=folder)
    with pytest.raises(ConfigError) as refused:
        await Master(config).__aenter__()
    assert str(refused.value) == (
        "unit 'u': lifetime = \"survive\" needs a configuration in a file: the next master finds the "
        "worker by its path"
    )


async def test_the_first_surviving_unit_does_not_come_by_a_reload(folder: Path) -> None:
    world = World(folder)
    written = world.file.read_text()
    world.file.write_text(written.replace(SURVIVES, ""))
    async with world.master() as master:
        world.file.write_text(written)
        with pytest.raises(ConfigError) as refused:
            await master.reload()
        assert str(refused.value) == (
            "unit 'u': lifetime = \"survive\" is the first one of this master, which has made no "
            "folder for it; start the master again"
        )


async def test_a_survivor_calls_other_units_through_the_next_master(folder: Path) -> None:
    """Its address of the gateway and its token for it hold for the next master, too."""
    asks = """
async def unary(self, request):
    from hsu_worker.master import Master
    async with Master.connect() as master:
        return await master.client(Kinds, unit="other").client_stream([request] * 3)
"""
    world = World(folder, launch=app(folder, asks, before=COUNT))
    other = world.file.read_text().partition("[units.u]")[2].replace(SURVIVES, "")
    routes = '[routes]\n"hsu.test.v1.Kinds" = "u"\n'
    world.file.write_text(f"{world.file.read_text()}\n[units.other]{other}\n{routes}")
    async with world.killed("u"):
        (pid,) = starts(folder)
    for _ in range(2):
        async with world.master() as master:
            assert 3 == (await master.client(Kinds).unary(Ask(), timeout=20)).number
            assert master.status()["u"].pid == pid


async def test_what_a_survivor_depends_on_is_started_by_the_next_master(folder: Path) -> None:
    held = """
@lifespan
def held(self):
    while Path('slow').exists():
        time.sleep(0.01)
    yield
"""
    (folder / "base").mkdir()
    world = World(folder, 'depends_on = ["base"]')
    base = text(app(folder / "base", held), 'cwd = "base"').replace("units.u", "units.base")
    routes = '[routes]\n"hsu.test.v1.Kinds" = "u"\n'
    world.file.write_text(f"{world.file.read_text()}\n{base}\n{routes}")
    async with world.killed("u"):
        (pid,) = starts(folder)
    await until(lambda: not processes_in(folder / "base"))
    (folder / "base" / "slow").touch()
    async with world.master() as master:
        # It has not waited for what it depends on.
        await master.client(Kinds).unary(Ask(), timeout=20)
        assert (pid, "starting") == (master.status()["u"].pid, master.status()["base"].phase)
        (folder / "base" / "slow").unlink()
        await until(lambda: master.status()["base"].phase == "ready")
        assert [pid] == starts(folder)


async def test_a_warm_process_is_adopted_warm_and_wakes_for_a_call_after_what_it_depends_on(
    folder: Path,
) -> None:
    lived = """
@lifespan
def lived(self):
    print("entered", flush=True)
    yield
    print("left", flush=True)
"""
    (folder / "base").mkdir()
    launch = app(folder, lived, before=COUNT)
    world = World(folder, 'idle = "100ms"', 'warm = "1h"', 'depends_on = ["base"]', launch=launch)
    base = text(app(folder / "base", WAITS), 'cwd = "base"').replace("units.u", "units.base")
    routes = '[routes]\n"hsu.test.v1.Kinds" = "u"\n'
    world.file.write_text(f"{world.file.read_text()}\n{base}\n{routes}")
    (folder / "base" / "go").touch()
    async with world.master() as master:
        await master.client(Kinds).unary(Ask(), timeout=20)
        await until(lambda: master.status()["u"].phase == "warm")
        (pid,) = starts(folder)
    assert lives(pid)
    (folder / "base" / "go").unlink()
    async with world.master() as master:
        assert ("warm", "absent") == tuple(master.status()[u].phase for u in ("u", "base"))
        call = asyncio.create_task(master.client(Kinds).unary(Ask(), timeout=20))
        await until(lambda: master.status()["u"].detail == "waits for unit 'base'")
        assert 1 == world.output.read_text().count("entered")
        (folder / "base" / "go").touch()
        await call
        assert (master.status()["u"].pid, starts(folder)) == (pid, [pid])
