"""What the master says of a unit that waits for its worker, done as it is written."""

import re
import shlex

import pytest

from hsu_worker.errors import StartError
from hsu_worker.master.remote import RemoteMaster
from tests.cli.shell import Shell, running
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import text
from tests.worker.process import serving, write_service


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
            assert process.stderr
            while b"registered with" not in (line := await process.stderr.readline()):
                assert line
                assert b"UNAUTHENTICATED" not in line
            assert "hi" == (await kinds.unary(Ask(text="hi"), timeout=20)).text
