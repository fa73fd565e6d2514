"""A worker that registers: as the master says that it has to be done, and again with the next master."""

import asyncio
import os
import re
import shlex
from asyncio.subprocess import Process
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hsu_worker.errors import StartError
from hsu_worker.master.remote import RemoteMaster
from tests.cli.shell import Running, Shell, running
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import text
from tests.worker.process import serving, write_service


async def told(process: Process, text: str) -> str:
    """What it says until it has said this."""
    assert process.stderr
    lines = ""
    async with asyncio.timeout(60):
        while text not in lines:
            line = await process.stderr.readline()
            assert line, lines
            lines += line.decode()
    return lines


@pytest.mark.parametrize("where", ["its address", "its folder"])
async def test_the_cure_for_a_unit_that_nobody_stands_for_cures_it(
    shell: Shell, where: str
) -> None:
    app = write_service(shell.folder)
    (shell.folder / "hsu.toml").write_text(text("register = true", 'stall = "100ms"'))
    async with running(shell) as master, RemoteMaster(master.addresses[0]) as there:
        kinds = there.client(Kinds)
        with pytest.raises(StartError) as caught:
            await kinds.unary(Ask(), timeout=20)
        cure = re.search("`hsu-worker (serve .*)`", caught.value.message)
        assert cure, caught.value.message
        address = master.addresses[0]
        place = address if where == "its address" else address[len("unix:") : -len("/master.sock")]
        said = cure[1].replace("MODULE:APP", app).replace("ADDRESS", place).replace("NAME", "u")
        command, *arguments = shlex.split(said)
        assert "serve" == command
        async with serving(shell.folder, *arguments) as process:
            assert "UNAUTHENTICATED" not in await told(process, "registered with")
            assert "hi" == (await kinds.unary(Ask(text="hi"), timeout=20)).text


async def test_it_registers_with_the_next_master_once_its_file_holds_that_ones_token(
    shell: Shell, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (shell.folder / "hsu.toml").write_text(text("register = true"))
    # What ends with a master is looked for in the folder of the shell.
    folder = tmp_path_factory.mktemp("worker")
    token = folder / "token"

    def hand_over(master: Running) -> None:
        new = folder / "new"
        new.touch(mode=0o600)
        new.write_text(Path(master.token_file).read_text())
        os.replace(new, token)

    async with AsyncExitStack() as stack:
        async with running(shell, "--listen", "tcp:127.0.0.1:0") as first:
            address = first.addresses[1]
            hand_over(first)
            arguments = (f"--register={address}", "--unit=u", "--master-token-file=token")
            process = await stack.enter_async_context(
                serving(folder, write_service(folder), *arguments)
            )
            await told(process, f"registered with {address}")
            await first.leave()
        token.unlink()
        # The file is missing; then it is there, and of the master that has left.
        await told(process, f"registration with {address}: {token}: No such file or directory")
        async with running(shell, "--listen", address) as second:
            token.touch(mode=0o600)
            token.write_text("the-first-ones")
            await told(process, f"registration with {address}: UNAUTHENTICATED")
            hand_over(second)
            await told(process, f"registered with {address}")
            async with RemoteMaster(second.addresses[0]) as there:
                reply = await there.client(Kinds).unary(Ask(text="hi"), timeout=20)

    assert "hi" == reply.text
