"""`hsu-worker master run`, as a true process."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from hsu_worker.errors import RpcError
from hsu_worker.master.remote import RemoteMaster
from tests.cli.shell import Shell, running, until_phase
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import processes_in
from tests.until import until


async def test_it_says_where_it_listens_and_what_happens(shell: Shell) -> None:
    process = await shell.begin("master", "run", "hsu.toml", "--listen", "tcp:127.0.0.1:0")
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    runtime = shell.variables["XDG_RUNTIME_DIR"]
    assert re.fullmatch(
        rf"u at unix:{runtime}/hsu-\w+/master\.sock, tcp:127\.0\.0\.1:[1-9]\d*\n", line
    )
    await shell.run("start", "u")
    process.send_signal(signal.SIGTERM)
    out, errors = await process.communicate()
    assert (0, b"") == (process.returncode, out)
    told = [line.split(" ", 2)[2] for line in errors.decode().splitlines()]
    assert told[0].startswith("unit u (generation 1): starting")
    assert told[1].startswith("unit u (generation 1): ready")
    assert "SIGTERM: running calls finish; a second signal ends everything at once" in told
    assert [] == os.listdir(runtime)


async def test_quiet_it_shows_what_goes_wrong_only(shell: Shell) -> None:
    async with running(shell, "-q") as master:
        await shell.run("start", "u")
        [unit] = await shell.json("list")
        os.kill(unit["pid"], signal.SIGKILL)
        await until_phase(shell, "absent", "backoff")
        code, errors = await master.leave(signal.SIGINT)
    [line] = errors.splitlines()
    assert 0 == code
    assert "unit u (generation 1): exited" in line
    assert "killed by SIGKILL" in line


@pytest.mark.parametrize(
    ("toml", "arguments", "code", "told"),
    [
        (
            '[units.u]\napp = "a:B"\nidel = "3s"\n',
            (),
            3,
            [
                "hsu.toml: units.u.idel: unknown key; did you mean 'idle'?",
                'hsu.toml: units.u.implements: missing; write implements = ["hsu.a.v1.InterfaceA"]',
            ],
        ),
        (
            "",
            ("--listen", "tcp:0.0.0.0:0"),
            2,
            [
                (
                    "address tcp:0.0.0.0:0: others in the network could read and make calls; "
                    "listen at tcp:127.0.0.1:0, or add --insecure-remote"
                )
            ],
        ),
        (
            "",
            ("--listen", "here"),
            2,
            [
                (
                    "address 'here': neither a Unix path nor TCP; write unix:<absolute path> or "
                    "tcp:<host>:<port>, such as tcp:127.0.0.1:0"
                )
            ],
        ),
    ],
)
async def test_what_cannot_run_is_told_with_every_mistake(
    shell: Shell, toml: str, arguments: tuple[str, ...], code: int, told: list[str]
) -> None:
    (shell.folder / "hsu.toml").write_text(toml)
    errors = await shell.error("master", "run", "hsu.toml", *arguments, code=code)
    assert told == errors.splitlines()


async def test_a_missing_file_is_a_usage_error(shell: Shell) -> None:
    errors = await shell.error("master", "run", "nosuch.toml", code=2)
    assert errors.endswith("File 'nosuch.toml' does not exist.")


async def test_a_port_in_use_is_named_and_nothing_is_left(shell: Shell) -> None:
    async with running(shell, "--listen", "tcp:127.0.0.1:0") as master:
        taken = master.addresses[1]
        errors = await shell.error("master", "run", "hsu.toml", "--listen", taken, code=3)
        assert 1 == len(os.listdir(shell.variables["XDG_RUNTIME_DIR"]))
    assert (
        f"address {taken}: in use by another server; choose another port, or 0 for any free one"
    ) == errors


async def test_asked_to_leave_it_lets_calls_finish_and_takes_no_new_ones(shell: Shell) -> None:
    async with running(shell) as master, RemoteMaster(master.addresses[0]) as there:
        kinds = there.client(Kinds)
        answers = kinds.server_stream(Ask())
        await anext(answers)
        master.process.send_signal(signal.SIGTERM)
        while (await there.status())["u"].phase != "draining":
            pass
        with pytest.raises(RpcError, match="the master is leaving"):
            await kinds.unary(Ask())
        (shell.folder / "go").touch()
        assert [1] == [answer.number async for answer in answers]
        async with asyncio.timeout(20):
            code = await master.process.wait()
    assert 0 == code


async def test_sighup_has_it_read_its_file_again(shell: Shell) -> None:
    file = shell.folder / "hsu.toml"
    text = file.read_text()
    async with running(shell) as master:

        async def told(keys: str, last: str) -> str:
            """What it says of a signal behind a change of the file, up to a text."""
            file.write_text(text.replace("[units.u]", f"[units.u]\n{keys}"))
            master.process.send_signal(signal.SIGHUP)
            assert master.process.stderr is not None
            async with asyncio.timeout(20):
                said = await master.process.stderr.readuntil(last.encode())
            return said.decode()

        mistake = f"{file}: units.u.pined: unknown key; did you mean 'pinned'?\n"
        wrong = await told("pined = true", mistake)
        right = await told('idle = "7s"', "\n")
    assert wrong.endswith(f" SIGHUP: nothing has changed:\n{mistake}")
    assert right.endswith(" SIGHUP: adjusted u\n")


async def test_a_second_signal_ends_everything_at_once(shell: Shell) -> None:
    async with running(shell) as master, RemoteMaster(master.addresses[0]) as there:
        answers = there.client(Kinds).server_stream(Ask())
        await anext(answers)
        master.process.send_signal(signal.SIGTERM)
        while (await there.status())["u"].phase != "draining":
            pass
        master.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            code = await master.process.wait()
            await until(lambda: not processes_in(shell.folder))
        with pytest.raises(RpcError):
            await anext(answers)
    assert 128 + signal.SIGTERM == code


async def test_what_a_killed_master_left_is_in_nobodys_way(shell: Shell) -> None:
    async with running(shell) as killed:
        killed.process.kill()
        await killed.process.wait()
        left = Path(killed.token_file).parent
        assert left.exists()
        async with running(shell):
            await shell.out("list")
            assert not left.exists()
