import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from hsu_worker import PermissionDenied, Unauthenticated
from hsu_worker.gen.hsu_core import (
    Core,
    ShutdownRequest,
    StartRequest,
    StreamLogsRequest,
)
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.until import until
from tests.worker.process import connected, served_at, serving, write_service


async def _errors(process: Process) -> str:
    assert process.stderr
    return (await process.stderr.read()).decode()


async def test_it_starts_itself_and_says_where_it_answers(tmp_path: Path) -> None:
    async with serving(tmp_path, write_service(tmp_path)) as process:
        address = await served_at(process)
        connection = Connection.open(address)
        answer = await Kinds.client(connection).unary(Ask(text="hello"))
        await connection.close()
        process.send_signal(signal.SIGINT)
        code = await process.wait()

    assert (address.host, answer.text) == ("127.0.0.1", "hello")
    assert code == 0


async def test_the_command_that_it_prints_works(tmp_path: Path) -> None:
    (tmp_path / "my token").write_text("secret\n")
    (tmp_path / "my token").chmod(0o600)
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for arguments in (
        [],
        ["--token-file", "my token"],
        ["--listen", f"unix:{tmp_path}/a b", "--token-file", "my token"],
        ["--listen", "tcp:0.0.0.0:0", "--insecure-remote"],
    ):
        async with serving(tmp_path, write_service(tmp_path), *arguments) as process:
            assert process.stdout
            line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
            shown = await asyncio.create_subprocess_shell(
                line.partition("; call it: ")[2],
                cwd=tmp_path,
                env={**os.environ, "PATH": programs},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, problem = await shown.communicate()
            assert (0, b"{}\n") == (shown.returncode, out), line + problem.decode()


async def test_an_empty_stdin_does_not_end_it(tmp_path: Path) -> None:
    # As under systemd or nohup.
    async with serving(tmp_path, write_service(tmp_path)) as process:
        await served_at(process)
        await asyncio.sleep(0.2)

        assert process.returncode is None


async def test_a_token_file_lets_in_only_who_has_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "token").chmod(0o600)
    async with serving(tmp_path, write_service(tmp_path), "--token-file", "token") as process:
        address = await served_at(process)
        stranger, friend = Connection.open(address), Connection.open(address, token="secret")
        with pytest.raises(Unauthenticated):
            await Kinds.client(stranger).unary(Ask())
        answer = await Kinds.client(friend).unary(Ask(text="hello"))
        await Core.client(friend).shutdown(ShutdownRequest())
        code = await process.wait()
        await stranger.close()
        await friend.close()

    assert (answer.text, code) == ("hello", 0)


async def test_without_a_token_nobody_can_end_it_from_outside(tmp_path: Path) -> None:
    async with serving(tmp_path, write_service(tmp_path)) as process:
        connection = Connection.open(await served_at(process))
        with pytest.raises(PermissionDenied):
            await Core.client(connection).shutdown(ShutdownRequest())
        await connection.close()


async def test_output_and_records_are_shown_and_kept(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "async def unary(self, request):\n"
        "    import logging\n"
        "    print('to stdout')\n"
        "    print('to stderr', file=sys.stderr)\n"
        "    logging.getLogger('mine').warning('a record', extra={'n': 1})\n"
        "    return Answer()\n",
    )
    for arguments, captured in (([], True), (["--no-capture"], False)):
        listen = f"unix:{tmp_path}/s"
        async with serving(tmp_path, target, "--listen", listen, *arguments) as process:
            address = await served_at(process)
            connection = Connection.open(address)
            await Kinds.client(connection).unary(Ask())
            records = {
                record.logger: record.message
                async for response in Core.client(connection).stream_logs(StreamLogsRequest())
                for record in response.records
            }
            await connection.close()
            process.send_signal(signal.SIGTERM)
            out, errors = await process.communicate()

        assert out == b"to stdout\n"
        assert b"to stderr\n" in errors
        assert errors.count(b"WARNING mine: a record") == 1
        assert records["mine"] == "a record"
        assert ("stdout" in records) is captured
        if captured:
            assert (records["stdout"], records["stderr"]) == ("to stdout", "to stderr")


async def test_a_lifespan_that_fails_exits_with_3_and_its_traceback(tmp_path: Path) -> None:
    target = write_service(
        tmp_path, "@lifespan\ndef loaded(self):\n    raise FileNotFoundError('no model')\n    yield"
    )
    async with serving(tmp_path, target) as process:
        errors = await _errors(process)
        code = await process.wait()

    assert code == 3
    assert "Traceback (most recent call last):" in errors
    assert errors.endswith("Error: 'mysvc:Service' could not start: FileNotFoundError: no model\n")


async def test_ctrl_c_while_starting_ends_it_in_order(tmp_path: Path) -> None:
    target = write_service(
        tmp_path,
        "@lifespan\n"
        "async def loaded(self):\n"
        "    try:\n"
        "        Path('entered').touch()\n"
        "        await asyncio.sleep(60)\n"
        "    finally:\n"
        "        Path('left').touch()\n"
        "    yield",
    )
    async with serving(tmp_path, target) as process:
        await until(lambda: (tmp_path / "entered").exists())
        process.send_signal(signal.SIGINT)
        out, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()
    assert out == b""
    assert (tmp_path / "left").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nosuch:app"], 3, "'nosuch:app': there is no module 'nosuch'"),
        (["mysvc:nosuch"], 3, "'mysvc' has no attribute 'nosuch'; it has Service"),
        (
            ["mysvc:Service", "--listen", "tcp:0.0.0.0:0"],
            2,
            (
                "address tcp:0.0.0.0:0: others in the network could read and make calls; "
                "listen at tcp:127.0.0.1:0, or add --insecure-remote"
            ),
        ),
        (["mysvc:Service", "--listen", "127.0.0.1"], 2, "neither a Unix path nor TCP"),
        (["mysvc:Service", "--token-file", "nosuch"], 2, "File 'nosuch' does not exist"),
        (
            ["mysvc:Service", "--token-file", "mysvc.py"],
            3,
            "mysvc.py: other users can open it; run: chmod 600 mysvc.py",
        ),
        (
            ["mysvc:Service", "--token-file", "two-words"],
            3,
            "two-words holds no token: printable ASCII without spaces is needed",
        ),
        (
            ["mysvc:Service", "--master", "tcp:127.0.0.1:1", "--master-token-file", "two-words"],
            3,
            "two-words holds no token: printable ASCII without spaces is needed",
        ),
        (["mysvc:Service", "--unit", "u"], 2, "--register and --unit go together"),
        (["mysvc:Service", "--register", "unix:/m"], 2, "--register and --unit go together"),
        (
            ["mysvc:Service", "--master-token-file", "mysvc.py"],
            2,
            "--master-token-file goes with --as, --register or --master",
        ),
        (["mysvc:Service", "--log-level", "LOUD"], 2, "'LOUD' is not one of"),
        ([], 2, "Missing argument 'APP'"),
    ],
)
async def test_what_cannot_be_served_is_told_in_a_sentence(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    write_service(tmp_path)
    (tmp_path / "two-words").write_text("a secret")
    (tmp_path / "two-words").chmod(0o600)
    async with serving(tmp_path, *arguments) as process:
        errors = await _errors(process)

        assert (await process.wait(), "Traceback" in errors) == (code, False), errors
    assert message in errors


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    target = write_service(tmp_path)
    async with serving(tmp_path, target) as first:
        address = await served_at(first)
        async with serving(tmp_path, target, "--listen", str(address)) as second:
            errors = await _errors(second)
            code = await second.wait()

    assert code == 3
    assert errors == (
        f"Error: address {address}: in use by another server; "
        "choose another port, or 0 for any free one\n"
    )


async def test_an_error_in_the_users_module_keeps_its_own_traceback(tmp_path: Path) -> None:
    target = write_service(tmp_path, before="1 / 0")
    async with serving(tmp_path, target) as process:
        errors = await _errors(process)
        code = await process.wait()

    assert code == 3
    assert errors.startswith(
        f'Traceback (most recent call last):\n  File "{tmp_path}/mysvc.py", line 7'
    )
    assert "ZeroDivisionError" in errors


async def test_a_mistake_that_the_framework_notices_is_shown_where_it_was_made(
    tmp_path: Path,
) -> None:
    target = write_service(tmp_path, before="@implements(3)\nclass Wrong: ...")
    async with serving(tmp_path, target) as process:
        errors = await _errors(process)
        code = await process.wait()

    assert code == 3
    lines = errors.splitlines()
    assert lines[1].startswith(f'  File "{tmp_path}/mysvc.py", line 7')
    assert 1 == errors.count('  File "')
    assert lines[-2].startswith("TypeError: implements(3): 3 is no interface; write @implements(")


async def test_it_answers_at_each_of_its_addresses(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    target = write_service(tmp_path / "src")
    arguments = ("--listen", f"unix:{tmp_path}/s", "--port", "0", "--app-dir", "src")
    async with serving(tmp_path, target, *arguments) as process:
        assert process.stdout
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        addresses = line.partition(" at ")[2].partition(";")[0].split(", ")
        for address in addresses:
            async with connected(address) as connection:
                answer = await Kinds.client(connection).unary(Ask(text="hello"), timeout=20)
                assert answer.text == "hello"
                # Somebody else may reach one of them.
                with pytest.raises(PermissionDenied):
                    await Core.client(connection).shutdown(ShutdownRequest(), timeout=20)
        process.send_signal(signal.SIGTERM)
        assert 0 == await process.wait()

    assert f"unix:{tmp_path}/s" == addresses[0]
    assert addresses[1].startswith("tcp:127.0.0.1:")
    assert not (tmp_path / "s").exists()


async def test_one_address_in_use_is_enough_not_to_start(tmp_path: Path) -> None:
    target = write_service(tmp_path)
    async with serving(tmp_path, target) as first:
        taken = await served_at(first)
        arguments = ("--listen", f"unix:{tmp_path}/s", "--listen", str(taken))
        async with serving(tmp_path, target, *arguments) as second:
            errors = await _errors(second)
            code = await second.wait()

    assert 3 == code
    assert errors.startswith(f"Error: address {taken}: in use by another server; ")
    assert not (tmp_path / "s").exists()


async def test_insecure_remote_listens_everywhere(tmp_path: Path) -> None:
    arguments = ["--listen", "tcp:0.0.0.0:0", "--insecure-remote"]
    async with serving(tmp_path, write_service(tmp_path), *arguments) as process:
        address = await served_at(process)
        connection = Connection.open(Address(host="127.0.0.1", port=address.port))
        answer = await Kinds.client(connection).unary(Ask(text="hello"))
        await connection.close()

    assert answer.text == "hello"


async def test_launched_it_is_a_masters_worker(tmp_path: Path) -> None:
    # HSU_ANNOUNCE_FD is left out: a line of stdout says where.
    async with serving(
        tmp_path,
        write_service(tmp_path),
        stdin=asyncio.subprocess.PIPE,
        HSU_INSTANCE="1" * 32,
        HSU_LISTEN=f"unix:{tmp_path}/s",
        HSU_TOKEN="secret",
    ) as process:
        assert process.stdout
        assert process.stdin
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        connection = Connection.open(Address(path=f"{tmp_path}/s"), token="secret")
        steps = [step async for step in Core.client(connection).start(StartRequest())]
        await connection.close()
        process.stdin.close()
        code = await process.wait()

    assert line == b"HSU 1 " + b"1" * 32 + f" unix:{tmp_path}/s\n".encode()
    assert len(steps) == 2
    assert code == 0
