"""What a worker writes never blocks it, and is there after its end."""

from pathlib import Path

import pytest

from hsu_worker.errors import RpcError
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, running, text
from tests.sequences import assert_same

TALK = """
async def unary(self, request):
    exec(request.text)
    return Answer(text="done")
"""

NUMBERS = "for n in range(1000): print(f'line {n}', flush=True)\n"


async def run(it: Running, code: str) -> str:
    return (await it.kinds.unary(Ask(text=code), timeout=30)).text


async def test_a_worker_writes_as_much_as_it_wants(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, TALK))) as it:
        assert "done" == await run(it, "for n in range(10 << 10): print('x' * 1023)")
        assert "done" == await run(it, "sys.stderr.write('y' * (1 << 20) + chr(10))")
        assert "done" == await run(it, "os.write(1, bytes([255, 254, 10]))")
        await it.master.stop("u")
        kept = sum(len(line.text) + 1 for line in it.master.log("u"))
        texts = [line.text for line in it.master.log("u")]

    assert kept <= 1 << 20
    assert any("\ufffd\ufffd" in line for line in texts)


@pytest.mark.parametrize(
    ("end", "how"),
    [
        ("os._exit(3)", "exit code 3"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
    ],
)
async def test_the_last_lines_before_a_crash_are_kept(tmp_path: Path, end: str, how: str) -> None:
    async with running(tmp_path, text(app(tmp_path, TALK))) as it:
        with pytest.raises(RpcError):
            await run(it, NUMBERS + end)
        exited = await it.event("exited")
        lines = [line.text for line in it.master.log("u") if line.text.startswith("line ")]
        answer = await run(it, "")

    assert_same([f"line {n}" for n in range(1000)], lines)
    assert (how, 1) == (exited.detail, exited.generation)
    assert "done" == answer
