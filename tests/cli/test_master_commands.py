"""The commands that ask a running master, as true processes."""

import asyncio
import json
import os
import pty
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.shell import Shell, running, until_phase


async def test_the_units_are_listed(shell: Shell) -> None:
    async with running(shell):
        before = await shell.out("list")
        await shell.run("start", "u")
        after = await shell.out("list")
        [unit] = await shell.json("list")
    assert (
        "UNIT  PHASE   GENERATION  CALLS  WAITING\nu     absent           0      0        0\n"
    ) == before
    assert re.fullmatch(
        r"UNIT  PHASE  GENERATION  CALLS  WAITING\nu     ready           1      0        0  pid \d+, forked\n",
        after,
    )
    assert {
        "unit": "u",
        "phase": "ready",
        "generation": 1,
        "leases": 0,
        "waiters": 0,
        "detail": unit["detail"],
        "implements": ["hsu.test.v1.Kinds"],
        "failure": "",
        "retry_in": None,
        "pid": int(unit["detail"].removeprefix("pid ").removesuffix(", forked")),
        "starts": 1,
        "trigger": "asked",
        "usage": None,
        "replicas": [],
    } == unit


async def test_a_unit_is_started_stopped_restarted_and_held(shell: Shell) -> None:
    async with running(shell):
        started = await shell.out("start", "u")
        assert re.fullmatch(r"u is ready: generation 1, after \d+\.\d s\n", started)
        assert "u is ready: generation 2\n" == await shell.out("restart", "u")
        assert "u is stopped\n" == await shell.out("stop", "u")
        assert [{"unit": "u", "generation": 3}] == await shell.json("start", "u")
        assert {"unit": "u", "generation": 4} == await shell.json("restart", "u")
        assert [{"unit": "u", "held": False}] == await shell.json("stop", "u")
        assert "u is stopped, and held until `hsu-worker start u`\n" == await shell.out(
            "stop", "u", "--hold"
        )
        assert "held" == (await shell.json("list"))[0]["phase"]


async def test_a_start_that_fails_says_why(shell: Shell) -> None:
    (shell.folder / "fail").touch()
    async with running(shell):
        failed = await shell.error("start", "u", code=3)
        assert failed.startswith(
            "unit 'u' did not start: its lifespan failed: ValueError: no model;"
        )
        *_, listed = (await shell.out("list")).splitlines()
        code, out, errors = await shell.run("start", "u", "x", "--json")
        _, stopped, unknown = await shell.run("stop", "x", "u")
    assert "  last failure: its lifespan failed: ValueError: no model" in listed
    assert ("u is stopped\n", "Error: there is no unit 'x'; configured: u\n") == (stopped, unknown)
    results = json.loads(out)
    assert ["u", "x"] == [each["unit"] for each in results]
    assert "no model" in results[0]["error"]
    assert "there is no unit 'x'; configured: u" == results[1]["error"]
    assert 2 == code
    assert "no model" in errors
    assert errors.endswith("Error: there is no unit 'x'; configured: u\n")


async def test_a_terminal_shows_the_progress_of_a_start(shell: Shell) -> None:
    (shell.folder / "wait").touch()
    async with running(shell):
        main, terminal = pty.openpty()
        process = await shell.begin("start", "u", stderr=terminal)
        os.close(terminal)
        shown = b""
        while b"u: 25% reading" not in shown:
            shown += await asyncio.to_thread(os.read, main, 4096)
        (shell.folder / "wait").unlink()
        out, _ = await process.communicate()
        os.close(main)
    assert out.startswith(b"u is ready: generation 1, ")
    # What a worker says can't move the cursor.
    assert re.search(rb"u: 25% reading \[2J, \d+ s", shown)
    assert b"\x1b[2J" not in shown


async def test_ctrl_c_ends_the_waiting_and_not_the_start(shell: Shell) -> None:
    (shell.folder / "wait").touch()
    async with running(shell):
        process = await shell.begin("start", "u")
        await until_phase(shell, "starting")
        process.send_signal(signal.SIGINT)
        out, errors = await process.communicate()
        (shell.folder / "wait").unlink()
        await until_phase(shell, "ready")
    assert (1, b"", b"\nAborted!\n") == (process.returncode, out, errors)


async def test_a_failing_lifespan_is_shown_once(shell: Shell) -> None:
    (shell.folder / "fail").touch()
    async with running(shell):
        await shell.run("start", "u")
        text = await shell.out("logs", "u")
        told = [json.loads(line) for line in (await shell.out("logs", "u", "--json")).splitlines()]
    assert 1 == text.count("Traceback")
    # For machines nothing is left out.
    assert 2 == sum("Traceback" in line["text"] for line in told)


async def test_a_unit_is_swapped(shell: Shell) -> None:
    service = (shell.folder / "mysvc.py").read_text()
    (shell.folder / "other.py").write_text(service.replace('"loading"', '"loading another"'))
    async with running(shell):
        await shell.run("start", "u")
        assert "u is swapped: generation 2 serves\n" == await shell.out("swap", "u")
        await shell.json("swap", "u", "--app", "other:Service")
        assert "loading another" in await shell.out("logs", "u")
        command = (sys.executable, "-m", "hsu_worker.worker", "mysvc:Service")
        swapped = await shell.out("swap", "u", "--json", "--", *command)
        assert {"unit": "u", "generation": 4} == json.loads(swapped)
        refused = await shell.error("swap", "u", "--app", "nosuch:App")
        wrong = await shell.error("swap", "u", "--app", "no app")
        [unit] = await shell.json("list")
        usage = await shell.error("swap", "u", "--app", "a:B", "--", "c", code=2)
    assert refused.startswith("the swap failed, and nothing has changed: unit 'u' did not start: ")
    assert "there is no module 'nosuch'" in refused
    assert 'expected an import string such as "my_package.app:App", got "no app"' == wrong
    assert ("ready", 4) == (unit["phase"], unit["generation"])
    assert usage.endswith("Error: --app and a command exclude each other")


async def test_a_master_reads_its_file_again(shell: Shell) -> None:
    file = shell.folder / "hsu.toml"
    first = file.read_text()
    async with running(shell):
        assert "nothing has changed\n" == await shell.out("reload")
        added = first.replace("[units.u]", "[units.v]")
        interface = "hsu.test.v1.Kinds"
        routes = f'\n[routes]\n"{interface}" = "v"\n'
        shorter = first.replace("[units.u]", '[units.u]\nidle = "7s"')
        file.write_text(f"{shorter}\n{added}{routes}")
        told = await shell.out("reload")
        assert f"added v; adjusted u; routed {interface}\n" == told
        assert ["u", "v"] == [unit["unit"] for unit in await shell.json("list")]
        file.write_text(first.replace("[units.u]", '[units.u]\nidle = "soon"\npined = true'))
        refused = await shell.error("reload")
        file.write_text(first)
        assert {
            "added": [],
            "removed": ["v"],
            "replaced": [],
            "adjusted": ["u"],
            "routed": [interface],
        } == await shell.json("reload")
    assert 2 == len(refused.splitlines())
    assert f"{file}: units.u.pined: unknown key; did you mean 'pinned'?" in refused.splitlines()


async def test_a_program_to_swap_in_is_found_from_here(shell: Shell) -> None:
    async with running(shell):
        await shell.run("start", "u")
        refused = await shell.error("swap", "u", "--", "./nosuch", "-x")
    assert f"{shell.folder}/nosuch" in refused


async def test_the_log_is_shown(shell: Shell) -> None:
    async with running(shell):
        await shell.run("start", "u")
        first, *_ = (await shell.out("logs", "u")).splitlines()
        last = await shell.out("logs", "u", "-n", "1")
        lines = [json.loads(line) for line in (await shell.out("logs", "u", "--json")).splitlines()]
        rest = await shell.out("logs", "u", "--after", "1", "--json")
        usage = await shell.error("logs", "u", "--after", "1", "-n", "1", code=2)
    assert usage.endswith("Error: --after and --tail exclude each other")
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} 1 stdout: loading", first)
    assert 1 == len(last.splitlines())
    assert {
        "sequence": 1,
        "time": lines[0]["time"],
        "generation": 1,
        "source": "stdout",
        "text": "loading",
    } == lines[0]
    assert lines[1:] == [json.loads(line) for line in rest.splitlines()]


async def test_a_log_is_followed_until_ctrl_c(shell: Shell) -> None:
    async with running(shell):
        following = await shell.begin("logs", "u", "-f")
        await shell.run("start", "u")
        assert following.stdout is not None
        line = await following.stdout.readline()
        following.send_signal(signal.SIGINT)
        _, errors = await following.communicate()
    assert line.endswith(b" 1 stdout: loading\n")
    assert (0, b"") == (following.returncode, errors)


async def test_a_followed_log_ends_with_its_master(shell: Shell) -> None:
    async with running(shell) as master:
        await shell.run("start", "u")
        following = await shell.begin("logs", "u", "-f", "-n", "1")
        assert following.stdout is not None
        await following.stdout.readline()
        await master.leave()
        _, errors = await following.communicate()
    assert (1, b"Error: the master is leaving\n") == (following.returncode, errors)


async def test_a_followed_log_ends_when_its_master_is_killed(shell: Shell) -> None:
    async with running(shell) as master:
        await shell.run("start", "u")
        following = await shell.begin("logs", "u", "-f", "-n", "1")
        assert following.stdout is not None
        await following.stdout.readline()
        master.process.kill()
        _, errors = await following.communicate()
    assert following.returncode == 1
    broken = f"Error: the connection to the master at {master.addresses[0]} broke: "
    assert errors.decode().startswith(broken)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("start", "u"),
        ("stop", "u"),
        ("restart", "u"),
        ("swap", "u"),
        ("reload",),
        ("logs", "u"),
        ("why", "u"),
    ],
)
async def test_without_a_master_the_cure_is_told(
    shell: Shell, temporary_folder: Path, arguments: tuple[str, ...]
) -> None:
    session = shell.variables["XDG_RUNTIME_DIR"]
    assert (
        f"no master of this user runs in {session} or {temporary_folder}; start one with "
        "`hsu-worker master run hsu.toml`, or name one with --master or HSU_MASTER"
    ) == await shell.error(*arguments)


async def test_a_master_without_the_session_of_this_shell_is_found(
    shell: Shell, temporary_folder: Path
) -> None:
    # As one that cron has started, or a shell after `su`.
    elsewhere = Shell(shell.folder, shell.variables | {"XDG_RUNTIME_DIR": ""})
    async with running(elsewhere) as master:
        assert master.addresses[0].startswith(f"unix:{temporary_folder}/hsu-")
        assert ["u"] == [unit["unit"] for unit in await shell.json("list")]


async def test_an_unknown_unit_is_named_with_those_that_there_are(shell: Shell) -> None:
    async with running(shell):
        for command in ("start", "stop", "restart", "swap", "logs", "why"):
            refused = await shell.error(command, "x", code=2)
            assert "there is no unit 'x'; configured: u" == refused


async def test_a_master_is_named_by_option_and_by_environment(shell: Shell) -> None:
    async with running(shell, "--listen", "tcp:127.0.0.1:0") as master:
        unix, tcp = master.addresses
        folder = str(Path(master.token_file).parent)
        listed = await shell.out("list")
        assert listed == await shell.out("list", "--master", unix)
        assert listed == await shell.out("list", "--master", folder)
        assert listed == await shell.out("list", "--master", tcp, "--token-file", master.token_file)
        locked_out = await shell.error("list", "--master", tcp)
        shell.variables |= {"HSU_MASTER": tcp, "HSU_MASTER_TOKEN_FILE": master.token_file}
        assert listed == await shell.out("list")
        shell.variables["HSU_MASTER_TOKEN"] = "wrong"
        refused = await shell.error("list")
        assert listed == await shell.out("list", "--token-file", master.token_file)
    cure = "name the file that holds its token with --token-file or HSU_MASTER_TOKEN_FILE"
    assert f"the master at {tcp} asks for a token; {cure}" == locked_out
    assert f"the master at {tcp} refuses the token of HSU_MASTER_TOKEN; {cure}" == refused


async def test_of_several_masters_one_has_to_be_chosen(shell: Shell) -> None:
    async with running(shell) as first, running(shell) as second:
        told = await shell.error("list")
        folders = sorted(str(Path(each.token_file).parent) for each in (first, second))
        pids = {str(Path(each.token_file).parent): each.process.pid for each in (first, second)}
        await shell.out("list", "--master", folders[0])
    assert [
        "several masters run; choose one:",
        *(f"--master {each}  (pid {pids[each]}, {shell.folder}/hsu.toml)" for each in folders),
    ] == told.splitlines()
