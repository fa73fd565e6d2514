"""Workers that are forked from templates: what they are, and what befalls them."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsu_worker.errors import RpcError, StartError
from hsu_worker.master import Config, Master
from hsu_worker.master import template as templates
from hsu_worker.master.keeper.processes import LINUX, live_processes, process_line
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.kept import BOUND, arguments, keeper_pid, keeper_pids, lives, lose_keeper, plant
from tests.master.running import (
    Running,
    app,
    count_starts,
    processes_in,
    running,
    starts,
    text,
)
from tests.master.test_death import keepers_of
from tests.master.test_survival import World
from tests.until import until

pytestmark = pytest.mark.skipif(not LINUX, reason="forks are used on Linux only")

PID = "async def unary(self, request):\n    return Answer(text=str(os.getpid()))"

#: Waits in a call until the file `go` is there.
HOLD = """async def unary(self, request):
    if request.text == 'hold':
        Path(f'held-{os.getpid()}').touch()
        while not Path('go').exists():
            await asyncio.sleep(0.01)
    return Answer(text=str(os.getpid()))"""


#: Starts a process that lives until its input is closed.
ECHOING = (
    "import subprocess; pipe = subprocess.PIPE; "
    "process = subprocess.Popen(['cat'], stdin=pipe, stdout=pipe, bufsize=0)"
)

#: Seconds that a call waits for a start.
PATIENCE = 60


def template_pids() -> list[int]:
    """The templates of this process's keeper."""
    return children_of(keeper_pid(), "hsu_worker.worker.template")


def children_of(pid: int, module: str) -> list[int]:
    """The children of a process that run a module."""
    return [
        line.pid
        for line in live_processes()
        if line.parent == pid and module in arguments(line.pid)
    ]


def spare_pids() -> list[int]:
    """What the templates of this process's keeper have forked, and nobody has taken."""
    return children_of(keeper_pid(), "hsu_worker.worker.spare")


async def template_pid(*, other_than: int = 0) -> int:
    await until(keeper_pids, within=4 * BOUND)
    await until(lambda: [pid for pid in template_pids() if pid != other_than], within=4 * BOUND)
    (found,) = [pid for pid in template_pids() if pid != other_than]
    return found


@asynccontextmanager
async def from_file(
    folder: Path, toml: str
) -> AsyncGenerator[tuple[Master, Callable[[str], object]], None]:
    """A master, and what writes its file."""
    write = (folder / "hsu.toml").write_text
    write(toml)
    async with Master.from_file(folder / "hsu.toml") as master:
        await master.client(Kinds).unary(Ask(), timeout=PATIENCE)
        yield master, write


def many(count: int, launch: str, *more: str) -> str:
    """An `hsu.toml` with so many units of one app."""
    units = "\n".join(
        text(launch, *more).replace("[units.u]", f"[units.u{number}]") for number in range(count)
    )
    return f'{units}\n[routes]\n"hsu.test.v1.Kinds" = "u0"'


def forked(it: Running) -> list[str]:
    """How each start that was ready was made."""
    return [event.detail for event in it.told if event.kind == "ready"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


async def test_a_worker_is_a_fork_and_the_keepers_child(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, PID))) as it:
        pid = int((await it.kinds.unary(Ask(), timeout=30)).text)
        line = process_line(pid)

        assert [f"pid {pid}, forked"] == forked(it)
        assert line is not None
        assert (keeper_pid(), pid, pid) == (line.parent, line.group, line.session)
        assert arguments(pid)[1:4] == ["-m", "hsu_worker.worker", "mysvc:Service"]


async def test_a_spawned_one_looks_the_same_from_outside(tmp_path: Path) -> None:
    seen = []
    for launcher in ("fork", "spawn"):
        toml = text(app(tmp_path, PID), f'launcher = "{launcher}"')
        async with running(tmp_path, toml) as it:
            pid = int((await it.kinds.unary(Ask(), timeout=30)).text)
            links = {os.readlink(f"/proc/{pid}/fd/{number}")[:6] for number in range(3)}
            seen.append(([word for word in arguments(pid) if word], links, os.getpgid(pid) == pid))
            assert [f"pid {pid}, forked" if launcher == "fork" else f"pid {pid}"] == forked(it)
    assert seen[0] == seen[1]


async def test_how_it_ended_is_known(tmp_path: Path) -> None:
    body = "async def unary(self, request):\n    os._exit(7)"
    async with running(tmp_path, text(app(tmp_path, body))) as it:
        with pytest.raises(RpcError):
            await it.kinds.unary(Ask(), timeout=30)
        exited = await it.event("exited")

        assert exited.crash is not None
        assert 7 == exited.crash.code
        assert exited.crash.peak_memory > 1 << 20


async def test_units_of_one_python_share_a_template(tmp_path: Path) -> None:
    async with running(tmp_path, many(3, app(tmp_path, PID))) as it:
        answers = [
            await it.master.client(Kinds, unit=f"u{number}").unary(Ask(), timeout=30)
            for number in range(3)
        ]

        assert 3 == len({answer.text for answer in answers})
        assert 1 == len(template_pids())


async def test_nothing_is_imported_between_fork_and_answer(tmp_path: Path) -> None:
    body = (
        "async def unary(self, request):\n"
        "    return Answer(text=' '.join(set(sys.modules) - imported))"
    )
    launch = app(tmp_path, body, before="imported = set(sys.modules)")
    async with running(tmp_path, text(launch, "preimport = true")) as it:
        assert "" == (await it.kinds.unary(Ask(), timeout=30)).text


async def test_an_app_is_imported_once_for_all_its_workers(tmp_path: Path) -> None:
    before = "open('imports', 'a').write(f'{os.getpid()}\\n')"
    toml = text(app(tmp_path, PID, before=before), "preimport = true")
    async with running(tmp_path, toml) as it:
        pids = set()
        for _ in range(3):
            pids.add((await it.kinds.unary(Ask(), timeout=30)).text)
            await it.master.stop("u")

        assert 3 == len(pids)
        assert [str(await template_pid())] == (tmp_path / "imports").read_text().split()


async def test_what_a_unit_was_forked_from_is_not_kept_when_it_is_launched_otherwise(
    tmp_path: Path,
) -> None:
    toml = text(app(tmp_path, PID), "preimport = true")
    (tmp_path / "other.py").write_text((tmp_path / "mysvc.py").read_text())
    async with from_file(tmp_path, toml) as (master, write):
        first = await template_pid()
        await master.swap("u", app="other:Service")
        second = await template_pid(other_than=first)
        await until(lambda: [second] == template_pids())

        write(text('app = "other:Service"', "preimport = true", env=", MODE = 'new'"))
        await master.reload()
        await until(lambda: len(found := template_pids()) == 1 and second not in found)
        await until(lambda: master.why("u")[-1].kind == "stopped")

        write(text(f'command = ["{sys.executable}"]'))
        await master.reload()
        await until(lambda: not template_pids())


async def test_a_changed_app_is_imported_anew(tmp_path: Path) -> None:
    body = "async def unary(self, request):\n    return Answer(text={!r})"
    toml = text(app(tmp_path, body.format("old")), "preimport = true")
    async with running(tmp_path, toml) as it:
        assert "old" == (await it.kinds.unary(Ask(), timeout=30)).text
        first = await template_pid()
        await it.master.stop("u")
        app(tmp_path, body.format("a new one"))

        assert "a new one" == (await it.kinds.unary(Ask(), timeout=30)).text
        assert first != await template_pid(other_than=first)


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (
            "threading.Thread(target=threading.Event().wait, name='beat', daemon=True).start()",
            "importing it starts threads (beat), and no thread survives a fork",
        ),
        (
            "import grpc; channel = grpc.insecure_channel('unix:/none')",
            "importing it starts threads (of native code), and no thread survives a fork",
        ),
        (
            f"{ECHOING}; process.stdin.write(b'.'); process.stdout.read(1)",
            "importing it starts processes (cat), and all forks would share them",
        ),
        (
            "import signal; signal.setitimer(signal.ITIMER_REAL, 1000)",
            "importing it sets a timer (ITIMER_REAL), and no fork keeps it",
        ),
    ],
)
async def test_an_app_that_can_not_be_forked_is_spawned_and_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, before: str, why: str
) -> None:
    toml = text(app(tmp_path, PID, before=before), "preimport = true")
    async with running(tmp_path, toml) as it:
        for _ in range(2):
            pid = (await it.kinds.unary(Ask(), timeout=30)).text
            assert f"pid {pid}" == forked(it)[-1]
            await it.master.stop("u")

        assert not template_pids()
    assert [f"unit 'u' is spawned, not forked: {why}"] == warnings(caplog)


async def test_a_process_that_has_ended_is_nobodys_to_share(tmp_path: Path) -> None:
    before = f"{ECHOING}; process.stdin.close(); os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)"
    toml = text(app(tmp_path, PID, before=before), "preimport = true")
    async with running(tmp_path, toml) as it:
        pid = (await it.kinds.unary(Ask(), timeout=30)).text
        assert [f"pid {pid}, forked"] == forked(it)


@pytest.mark.parametrize("what", ["signal.SIG_IGN", "lambda *_: os.waitpid(-1, os.WNOHANG)"])
async def test_what_an_app_does_with_ended_children_is_its_workers_business(
    tmp_path: Path, what: str
) -> None:
    before = f"import signal; reap = {what}; signal.signal(signal.SIGCHLD, reap)"
    body = (
        "async def unary(self, request):\n"
        "    return Answer(text=f'{os.getpid()} {signal.getsignal(signal.SIGCHLD) == reap}')"
    )
    async with running(
        tmp_path, text(app(tmp_path, body, before=before), "preimport = true")
    ) as it:
        first = await template_pid()
        for _ in range(3):
            pid, is_kept = (await it.kinds.unary(Ask(), timeout=30)).text.split()
            assert (f"pid {pid}, forked", "True") == (forked(it)[-1], is_kept)
            await it.master.stop("u")
        assert first == await template_pid()


async def test_what_came_of_a_template_otherwise_ends_with_it(tmp_path: Path) -> None:
    # Twice an orphan, and in a session of its own: no child of the template's.
    before = (
        "if not os.fork():\n    os.setsid()\n    if not os.fork():\n"
        "        Path('escaped').write_text(str(os.getpid()))\n"
        "        import signal\n        signal.pause()\n    os._exit(0)\nos.wait()"
    )
    toml = text(app(tmp_path, PID, before=before), "preimport = true")
    async with running(tmp_path, toml) as it:
        await it.kinds.unary(Ask(), timeout=30)
        await until(lambda: (tmp_path / "escaped").exists() and (tmp_path / "escaped").read_text())
        escaped = int((tmp_path / "escaped").read_text())
        await it.master.stop("u")
        assert lives(escaped)
        app(tmp_path, PID)
        await it.kinds.unary(Ask(), timeout=30)
        await until(lambda: not lives(escaped))


@pytest.mark.parametrize(
    ("before", "why", "error"),
    [
        (
            "raise ValueError('no luck')",
            "mysvc:Service can't be imported beforehand: ValueError: no luck",
            "ValueError: no luck",
        ),
        ("os._exit(9)", "it ended while it imported what it needs", "exit code 9"),
        (
            "os.kill(os.getpid(), 9)",
            "it ended while it imported what it needs",
            "killed by SIGKILL",
        ),
    ],
)
async def test_an_app_that_can_not_be_imported_fails_as_if_it_was_never_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, before: str, why: str, error: str
) -> None:
    toml = text(app(tmp_path, PID, before=before), "preimport = true", "breaker = 1")
    async with running(tmp_path, toml) as it:
        with pytest.raises(StartError) as caught:
            await it.kinds.unary(Ask(), timeout=30)

        assert error in str(caught.value)
    assert f"unit 'u' is spawned, not forked: {why}" in warnings(caplog)


async def test_an_import_that_hangs_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = (
        "if not os.path.exists('tried'):\n    Path('tried').touch()\n    threading.Event().wait()"
    )
    toml = text(app(tmp_path, PID, before=before), "preimport = true", 'stall = "4s"')
    async with running(tmp_path, toml) as it:
        pid = (await it.kinds.unary(Ask(), timeout=30)).text

        assert [f"pid {pid}"] == forked(it)
        assert not template_pids()
    assert [
        "unit 'u' is spawned, not forked: it has not imported all that it needs within 4 s"
    ] == warnings(caplog)


@pytest.mark.parametrize(
    ("at_fork", "why"),
    [
        ("os.kill(os.getpid(), 9)", "it ended when it was to fork"),
        ("threading.Event().wait()", "it has not forked within 4 s"),
    ],
)
async def test_an_app_that_is_lost_at_each_fork_is_spawned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, at_fork: str, why: str
) -> None:
    before = (
        f"{count_starts(tmp_path)}\ntemplate = 'template' in sys.argv[0]\n"
        f"os.register_at_fork(before=lambda: template and {at_fork})"
    )
    toml = text(app(tmp_path, PID, before=before), "preimport = true", 'stall = "4s"')
    async with running(tmp_path, toml) as it:
        pid = int((await it.kinds.unary(Ask(), timeout=PATIENCE)).text)

        assert [f"pid {pid}"] == forked(it)
        assert not template_pids()
        # One that the master had begun with may have ended before anybody needed it.
        assert pid == starts(tmp_path)[-1]
        assert len(starts(tmp_path)) in (3, 4)
    assert [f"unit 'u' is spawned, not forked: {why}"] == warnings(caplog)


async def test_a_start_that_is_not_wanted_any_more_does_not_wait_for_a_fork(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at_fork = "(Path('forking').touch(), threading.Event().wait())"
    before = f"os.register_at_fork(before=lambda: {at_fork})"
    toml = text(app(tmp_path, PID, before=before), "preimport = true")
    async with running(tmp_path, toml) as it:
        await template_pid()
        starting = asyncio.create_task(it.master.start("u"))
        await until((tmp_path / "forking").exists)
        async with asyncio.timeout(BOUND):
            await it.master.stop("u")
        with pytest.raises(RpcError):
            await starting
    assert not processes_in(tmp_path)
    assert not caplog.messages


async def test_a_start_that_is_not_wanted_any_more_does_not_wait_for_an_import(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = "Path('importing').touch()\nthreading.Event().wait()"
    toml = text(app(tmp_path, PID, before=before), "preimport = true")
    async with running(tmp_path, toml) as it:
        starting = asyncio.create_task(it.master.start("u"))
        await until((tmp_path / "importing").exists)
        async with asyncio.timeout(BOUND):
            await it.master.stop("u")
        with pytest.raises(RpcError):
            await starting
        (importing,) = template_pids()
    assert not lives(importing)
    assert not processes_in(tmp_path)
    assert not caplog.messages


async def test_a_template_that_is_killed_takes_no_worker_with_it(tmp_path: Path) -> None:
    async with running(tmp_path, many(50, app(tmp_path, HOLD))) as it:
        clients = [it.master.client(Kinds, unit=f"u{number}") for number in range(50)]
        held = [asyncio.create_task(each.unary(Ask(text="hold"), timeout=60)) for each in clients]
        await until(lambda: len(list(tmp_path.glob("held-*"))) == 50, within=60)
        template = await template_pid()
        os.kill(template, signal.SIGKILL)
        await until(lambda: not lives(template))
        (tmp_path / "go").touch()

        assert 50 == len({(await each).text for each in held})
        await it.master.stop("u0")
        pid = (await clients[0].unary(Ask(), timeout=30)).text
        assert f"pid {pid}, forked" == forked(it)[-1]
        assert template != await template_pid(other_than=template)
        await it.master.stop("u1")
        assert "exit code 0" == next(
            event.detail for event in it.told if (event.unit, event.kind) == ("u1", "stopped")
        )
    assert not processes_in(tmp_path)


async def test_a_template_that_is_killed_while_its_master_restarts_takes_no_worker_with_it() -> (
    None
):
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as name:
        world = World(Path(name), "preimport = true", launch=app(Path(name), PID))
        async with world.killed("u") as process:
            (keeper,) = keepers_of(process.pid)
            (template,) = children_of(keeper, "hsu_worker.worker.template")
            (worker,) = children_of(keeper, "hsu_worker.worker")
            process.kill()
            os.kill(template, signal.SIGKILL)
        async with world.master() as master:
            first = await template_pid()
            os.kill(first, signal.SIGKILL)
            await until(lambda: not lives(first))
            kinds = master.client(Kinds)
            assert str(worker) == (await kinds.unary(Ask(), timeout=30)).text
            await master.stop("u")
            pid = (await kinds.unary(Ask(), timeout=30)).text
            assert f"pid {pid}, forked" == world.told[-1].detail
            assert first != await template_pid(other_than=first)
            await master.stop("u", hold=True)
        await until(lambda: not processes_in(Path(name)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_template_that_is_lost_while_it_forks_loses_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(templates, "_BOUND", 2.0)
    async with running(tmp_path, many(20, app(tmp_path, PID))) as it:
        template = await template_pid()
        calls = [
            asyncio.create_task(
                it.master.client(Kinds, unit=f"u{unit}").unary(Ask(), timeout=PATIENCE)
            )
            for unit in range(20)
        ]
        await until(lambda: len(processes_in(tmp_path)) >= 3)
        os.kill(template, number)

        pids = {int((await call).text) for call in calls}
        assert 20 == len(pids)
        assert pids == set(processes_in(tmp_path))
        assert not lives(template)
    assert not processes_in(tmp_path)


async def test_a_killed_keeper_takes_its_templates_along_and_no_worker(tmp_path: Path) -> None:
    async with running(tmp_path, many(2, app(tmp_path, HOLD))) as it:
        first, second = (it.master.client(Kinds, unit=f"u{number}") for number in range(2))
        held = asyncio.create_task(first.unary(Ask(text="hold"), timeout=60))
        await until(lambda: list(tmp_path.glob("held-*")))
        template = await template_pid()
        await lose_keeper()

        pid = (await second.unary(Ask(), timeout=30)).text
        assert f"pid {pid}, forked" == forked(it)[-1]
        await until(lambda: not lives(template))
        (tmp_path / "go").touch()
        assert (await held).text != pid
    assert not processes_in(tmp_path)


async def test_an_environment_that_no_message_takes_is_spawned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    toml = text(app(tmp_path, PID), env=f', LARGE = "{"x" * 120_000}", MORE = "{"x" * 120_000}"')
    async with running(tmp_path, toml) as it:
        pid = (await it.kinds.unary(Ask(), timeout=30)).text

        assert [f"pid {pid}"] == forked(it)
    assert ["unit 'u' is spawned, not forked: its environment is too large"] == warnings(caplog)


async def test_eight_forks_leave_no_descriptor_behind(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, PID))) as it:
        counts = []
        for _ in range(2):
            for _ in range(4):
                await it.master.start("u")
                await it.master.stop("u")
            # A template holds a socket to its spare.
            await until(spare_pids)
            owners = (keeper_pid(), await template_pid())
            counts.append([len(os.listdir(f"/proc/{pid}/fd")) for pid in owners])

        # Four forks lie between the two. A template that has just forked a spare holds its end, too.
        assert all(after - before <= 1 for before, after in zip(*counts, strict=True)), counts
        assert 8 == len(forked(it))


#: The row of docs/faults.md, what the keeper does, what it does instead, and who notices.
PLANTED = [
    (
        "T50",
        "            self._place(wish)\n\n    def _end_marked",
        "            wish.close()\n\n    def _end_marked",
        lambda folder, patch, _: test_a_template_that_is_lost_while_it_forks_loses_no_start(
            folder, patch, signal.SIGKILL
        ),
    ),
    (
        "T50",
        "wish = template.asked.pop(number)\n                wish.close()\n",
        "wish = template.asked.pop(number)\n",
        lambda folder, _, __: test_eight_forks_leave_no_descriptor_behind(folder),
    ),
    (
        "T51",
        "template.waiting.remove(wish)",
        "return False",
        lambda folder, _, log: test_a_start_that_is_not_wanted_any_more_does_not_wait_for_an_import(
            folder, log
        ),
    ),
]


@pytest.mark.parametrize(("sound", "broken", "noticed"), [planted[1:] for planted in PLANTED])
async def test_a_planted_bug_is_caught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sound: str,
    broken: str,
    noticed: Callable[[Path, pytest.MonkeyPatch, pytest.LogCaptureFixture], Awaitable[None]],
) -> None:
    plant(monkeypatch, tmp_path, sound, broken)
    monkeypatch.setattr("tests.master.test_fork.PATIENCE", 5)
    (tmp_path / "units").mkdir()
    with pytest.raises((AssertionError, TimeoutError, RpcError)):
        await noticed(tmp_path / "units", monkeypatch, caplog)


def test_what_is_no_app_has_no_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def template_of(launch: str, *more: str) -> object:
        unit = Config.from_text(text(launch, *more), folder=tmp_path).units["u"]
        return templates.template_of(unit, {})

    assert template_of('app = "m:A"') is not None
    assert template_of('app = "m:A"', 'launcher = "spawn"') is None
    assert template_of('command = ["m"]') is None
    monkeypatch.setattr(templates, "LINUX", False)
    assert template_of('app = "m:A"') is None


def test_what_python_and_grpc_read_when_they_are_loaded_makes_a_template_of_its_own(
    tmp_path: Path,
) -> None:
    unit = Config.from_text(text('app = "m:A"'), folder=tmp_path).units["u"]

    def template_of(**environment: str) -> object:
        return templates.template_of(unit, environment)

    assert template_of() == template_of(MODEL="large", API_KEY="s3cret")
    for name in ("PYTHONPATH", "GRPC_VERBOSITY", "LD_PRELOAD", "LC_ALL", "TZ", "PATH"):
        assert template_of() != template_of(**{name: "other"})
