"""The kit as a library and as a command: launches that come to nothing, workers that run already."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import grpc.aio
import pytest

from hsu_worker import App
from hsu_worker.conformance import Help, Level, Outcome, Running, check, command
from hsu_worker.conformance.catalog import CHECKS
from hsu_worker.errors import ConfigError, LaunchError
from hsu_worker.master.keeper.processes import live_processes
from hsu_worker.serving.logring import LogRing
from hsu_worker.wire.address import Address
from hsu_worker.worker import answering, core
from tests.cli.inside import process, run
from tests.cli.shell import Shell
from tests.serving.kinds import AsyncKinds
from tests.worker.process import ROOT, environment, write_service

_NONE = grpc.aio.Metadata()

PYTHON = [sys.executable, "-m", "hsu_worker.worker"]


def worker(folder: Path, body: str = "", *, before: str = "") -> list[str]:
    return [*PYTHON, write_service(folder, body, before=before)]


async def test_noise_on_stdout_before_and_after_the_announcement_is_output(tmp_path: Path) -> None:
    noise = "print('HSU is loading'); sys.stdout.write('\\x00\\xff no end of line'); print()"
    after = "@lifespan\ndef one(self):\n    print('HSU 1 ' + '0' * 32 + ' unix:/x')\n    yield"
    target = command(
        worker(tmp_path, after, before=noise), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    report = await check(target, only=["announce-stdout", "announce-descriptor", "start-running"])
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("program", "patience", "said"),
    [
        (["./no-such-program"], 1, "command './no-such-program' does not exist: correct the path"),
        (
            [sys.executable, "-c", "import sys; sys.exit('no model')"],
            1,
            "did not announce itself: it ended: exit code 1; its last output:\n    stderr: no model",
        ),
        (
            [sys.executable, "-c", "input()\ninput()"],
            0.01,
            "did not announce itself: no announce line",
        ),
    ],
)
async def test_nothing_is_checked_of_what_never_announces_itself(
    program: list[str], patience: float, said: str
) -> None:
    made: list[str] = []
    with pytest.raises(LaunchError) as raised:
        await check(
            program, patience=patience, on_result=lambda result, *_: made.append(result.text)
        )
    assert said in str(raised.value)
    assert [] == made


async def test_a_worker_that_announces_itself_wrongly_fails_every_check_that_launches_it(
    tmp_path: Path,
) -> None:
    # It is found out at once: nobody waits for its announcement a hundred times.
    (tmp_path / "w.py").write_text(
        "import os, time\n"
        "os.write(int(os.environ['HSU_ANNOUNCE_FD']), b'HSU 1 me unix:/x\\n')\n"
        "time.sleep(60)\n"
    )
    target = command([sys.executable, "w.py"], cwd=tmp_path)
    some = ["announce-descriptor", "ping-echo", "shutdown", "sigterm"]
    report = await check(target, only=some)
    assert some == [result.check.id for result in report.failed]
    assert str(report).count("seen:") == 1, str(report)


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (
            grpc.aio.AioRpcError(grpc.StatusCode.UNIMPLEMENTED, _NONE, _NONE, "Method not found!"),
            "UNIMPLEMENTED 'Method not found!'",
        ),
        (
            IndexError("list index out of range"),
            "its answer can't be read: IndexError: list index out of range",
        ),
    ],
)
async def test_whatever_a_check_stumbles_over_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, seen: str
) -> None:
    async def stumble(_lab: object) -> None:
        raise error

    monkeypatch.setitem(CHECKS, "ping-echo", replace(CHECKS["ping-echo"], run=stumble))
    target = command(worker(tmp_path), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    report = await check(target, only=["ping-echo", "core-every-state"])
    assert ["core-every-state"] == [each.check.id for each in report.of(Outcome.PASSED)], str(
        report
    )
    [result] = report.failed
    assert (result.check.claim, seen) == (result.expected, result.seen)


async def test_nothing_is_left_when_the_kit_is_stopped(tmp_path: Path) -> None:
    target = command(worker(tmp_path), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    ready = asyncio.Event()
    run = asyncio.create_task(check(target, on_result=lambda *_: ready.set()))
    await ready.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    left = [line for line in live_processes() if _cwd(line.pid) == str(tmp_path)]
    assert [] == left


def _cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("help", "said"),
    [
        (
            Help(slow_method="hsu.test.v1.Kinds/Unry"),
            "--slow-method hsu.test.v1.Kinds/Unry: the worker has no such method",
        ),
        (
            Help(slow_method="hsu.test.v1.Kinds/Unary", slow_request='{"texd": 1}'),
            "--slow-request is no hsu.test.v1.Ask: ",
        ),
    ],
)
async def test_a_slow_method_that_is_none_is_refused_at_first(
    tmp_path: Path,
    help: Help,  # noqa: A002
    said: str,
) -> None:
    target = command(worker(tmp_path), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    with pytest.raises(ConfigError) as raised:
        await check(target, only=["stop-waits"], help=help)
    assert str(raised.value).startswith(said)


async def test_a_slow_method_that_is_not_slow_is_named_with_how_its_call_ended(
    tmp_path: Path,
) -> None:
    (tmp_path / "hasty.py").write_text(
        "from hsu_worker import implements\n"
        "from hsu_worker.gen.hsu_a import InterfaceA, SummarizeResponse\n\n\n"
        "@implements(InterfaceA)\nclass Hasty:\n"
        "    async def summarize(self, request):\n        return SummarizeResponse()\n\n"
        "    async def stream_summary(self, request):\n        return\n        yield\n"
    )
    target = command([*PYTHON, "hasty:Hasty"], cwd=tmp_path)
    method = "hsu.a.v1.InterfaceA/Summarize"
    helped = await check(target, only=["ping-under-load"], help=Help(slow_method=method))
    alone = await check(target, only=["ping-under-load"])
    begin = f"it takes a call that lasts: 1 of 1 calls of /{method} ended too early, one with OK, "
    assert helped.results[0].reason.startswith(begin), str(helped)
    none = "no method waits for a stream of requests, and --slow-method names none"
    assert [f"it takes a call that lasts: {none}"] == [each.reason for each in alone.results]


@asynccontextmanager
async def serving(token: str = "") -> AsyncGenerator[Address, None]:
    """A worker that nobody has launched."""
    app = App(AsyncKinds(), version="1")
    async with answering.answering(
        app, Address(host="127.0.0.1"), instance="1" * 32, token=token, ring=LogRing()
    ) as made:
        await made.lifecycle.started()
        yield made.address


async def test_one_that_runs_already_is_asked_and_goes_on() -> None:
    async with serving("the-token") as address:
        report = await check(Running(address=address, token="the-token"))
        again = await check(Running(address=address, token="the-token"), only=["ping-echo"])
    assert report.passes(Level.MAY), str(report)
    assert {"token-missing", "ping-echo", "log-window", "reflection"} <= {
        result.check.id for result in report.of(Outcome.PASSED)
    }
    harmless = {each.id for each in CHECKS.values() if each.harmless}
    assert harmless == {result.check.id for result in report.results}
    assert again.passed, str(again)


async def test_one_that_is_open_to_all_has_to_refuse_what_only_a_master_may_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as address:
        sound = await check(Running(address=address), only=["open-to-all"])
        logs = [each.id for each in CHECKS.values() if each.group == "logs" and each.harmless]
        unread = await check(Running(address=address), only=logs)
    assert [Outcome.PASSED] == [result.outcome for result in sound.results], str(sound)
    reason = "only who has a token may read its log: "
    assert [True] * len(logs) == [each.reason.startswith(reason) for each in unread.results]

    class Open(core.CoreService):
        def _not_for_all(self, method: str) -> None:
            pass

    monkeypatch.setattr(answering, "CoreService", Open)
    async with serving() as address:
        broken = await check(Running(address=address), only=["open-to-all"])
    [result] = broken.failed
    assert result.seen.startswith("OK"), result


async def test_nobody_at_the_address_is_no_worker() -> None:
    with pytest.raises(LaunchError, match=r"no worker could be asked at tcp:127\.0\.0\.1:1: UNAV"):
        await check(Running(address=Address(host="127.0.0.1", port=1)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: with a worker, and with an `hsu.toml` that names it."""
    app = write_service(tmp_path, "async def unary(self, request):\n    raise ValueError('secret')")
    text = f'[units.kinds]\napp = "{app}"\nimplements = ["hsu.test.v1.Kinds"]\n'
    text += f'env = {{PYTHONPATH = "{ROOT}"}}\n[units.later]\nregister = true\n'
    (tmp_path / "hsu.toml").write_text(f'{text}implements = ["hsu.a.v1.InterfaceA"]\n[routes]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_the_command_checks_a_unit_and_writes_a_report(home: Path) -> None:
    options = ("--only", "ping-echo", "--only", "empty-request", "--junit", "report.xml")
    out = await Shell(home, environment()).out("check", "--unit", "kinds", *options)
    # At level must nothing has failed.
    assert out.splitlines()[-1].startswith("passed: must 1 of 1, should 0 of 1; ")
    suite = ET.parse(home / "report.xml").getroot()[0]
    assert ["ping-echo", "empty-request"] == [case.get("name") for case in suite]


def test_the_command_fails_with_its_worker(home: Path) -> None:
    options = ("--env", f"PYTHONPATH={ROOT}", "--only", "empty-request", "--level", "should")
    ran = run("check", *options, "--json", "--", *PYTHON, "mysvc:Service")
    assert (1, "") == (ran.exit_code, ran.stderr)
    [found] = json.loads(ran.stdout)["checks"]
    assert ("failed", "should") == (found["outcome"], found["level"])
    assert "secret" not in found["seen"]


@pytest.mark.usefixtures("home")
def test_the_command_fails_with_what_was_skipped_if_that_is_asked_for() -> None:
    common = ("--env", f"PYTHONPATH={ROOT}", "--only", "start-failed", "--no-skips")
    worker = ("--", *PYTHON, "mysvc:Service")
    ran = run("check", *common, "--only", "ping-echo", *worker)
    assert (1, "not proven: start-failed\n") == (ran.exit_code, ran.stderr)
    assert "\npassed: must 1 of 2 (1 not proven); " in ran.stdout
    nothing = run("check", *common, *worker)
    said = "Error: nothing was checked: name other checks, or give the options that they take\n"
    assert (2, True) == (nothing.exit_code, nothing.stderr.endswith(said))
    assert "\nnothing was checked: all of it was skipped; " in nothing.stdout


def test_the_command_asks_whoever_runs_already(home: Path) -> None:
    (home / "token").touch(0o600)
    (home / "token").write_text("the-token\n")
    with process(
        *(home, "serve", "mysvc:Service", "--listen", "tcp:127.0.0.1:0"),
        *("--token-file", "token", "--log-format", "json"),
        PYTHONPATH=str(ROOT),
    ) as line:
        [address] = json.loads(line)["addresses"]
        (home / "hsu.toml").write_text(
            f'[units.kinds]\naddress = "{address}"\ntoken_file = "token"\n'
            'implements = ["hsu.test.v1.Kinds"]\n'
        )
        for target in (("--unit", "kinds"), ("--address", address, "--token-file", "token")):
            told = run("check", "--only", "ping-echo", "--json", *target).json
            assert (address, True) == (told["target"], told["passed"])
            assert ["ping-echo"] == [each["id"] for each in told["checks"]]


def test_the_command_lists_its_checks() -> None:
    assert list(CHECKS) == [each["id"] for each in run("check", "--list", "--json").json]
    line = "must    ping-echo  Ping returns the payload and the instance.\n"
    assert line == run("check", "--list", "--only", "ping-echo").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "say what to check, in one way: -- COMMAND ARGS..., --unit NAME, or --address "),
        (("--unit", "kinds", "--", "./w"), 2, "say what to check, in one way"),
        (("--only", "ping-eco", "--", "./w"), 2, "there is no check 'ping-eco'; did you mean "),
        (
            ("--only", "open-to-all", "--", "./w"),
            2,
            "check 'open-to-all' is made of a worker that ",
        ),
        (("--only", "sigterm", "--address", "unix:/w"), 2, "check 'sigterm' changes the worker: "),
        (
            ("--only", "ping-echo", "--skip", "ping-echo", "--", "./w"),
            2,
            "no check is left to make; name fewer to leave out",
        ),
        (("--unit", "kids"), 2, "hsu.toml: there is no unit 'kids'; did you mean 'kinds'?"),
        (("--unit", "later"), 2, "hsu.toml: unit 'later' is launched by nobody; name the worker"),
        (("--unit", "x", "--config", "no.toml"), 3, "no.toml: No such file or directory"),
        (("--unit", "kinds", "--env", "A=1"), 2, "--env and --implements go with a command"),
        (("--env", "A", "--", "./w"), 2, "'A': expected NAME=VALUE"),
        (("--token-file", "hsu.toml", "--", "./w"), 2, "--token-file goes with --address"),
        (("--slow-request", "@none", "--", "./w"), 2, "--slow-request @none: "),
        (("--junit", "none/report.xml", "--", "./w"), 2, "--junit none/report.xml: there is no "),
        (("--", "./w"), 3, "command './w' does not exist: correct the path"),
        (("--address", "here"), 2, "address 'here': neither a Unix path nor TCP"),
        (("--address", "unix:/no/w"), 3, "no worker could be asked at unix:/no/w: UNAVAILABLE"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_wrong_command_line_is_told(arguments: tuple[str, ...], code: int, said: str) -> None:
    assert said in run("check", *arguments).error(code)
