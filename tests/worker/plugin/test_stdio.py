import asyncio
import subprocess
import sys
from contextlib import aclosing

import pytest
from google.protobuf.empty_pb2 import Empty

from hsu_worker.gen.plugin.grpc_stdio import StdioData
from hsu_worker.worker.plugin.stdio import Stdio

OUT, ERR = StdioData.STDOUT, StdioData.STDERR


async def everything(stdio: Stdio) -> list[tuple[StdioData.Channel, bytes]]:
    stdio.close()
    return [(piece.channel, piece.data) async for piece in stdio.stream_stdio(Empty())]


async def test_output_comes_in_the_order_in_which_it_was_written() -> None:
    stdio = Stdio()
    with stdio.captures_stdout(), stdio.captures_stderr():
        print("one")
        print("two", file=sys.stderr)
        sys.stdout.buffer.write(b"\xff\n")
        sys.stdout.write("no end of line")
    written: dict[StdioData.Channel, bytes] = {OUT: b"", ERR: b""}
    for channel, data in await everything(stdio):
        written[channel] += data
    assert {OUT: b"one\n\xff\nno end of line", ERR: b"two\n"} == written


async def test_what_comes_later_is_followed_from_any_thread() -> None:
    stdio = Stdio()
    async with aclosing(stdio.stream_stdio(Empty())) as stream:
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await asyncio.to_thread(stdio.write, OUT, b"late")
        assert b"late" == (await first).data
        stdio.close()
        assert [] == [piece async for piece in stream]


async def test_the_oldest_makes_room_and_is_counted() -> None:
    stdio = Stdio(waiting_bytes=10)
    for number in range(5):
        stdio.write(OUT, b"%d..." % number)
    assert [(ERR, b"\n[12 bytes of output were lost]\n"), (OUT, b"3...4...")] == (
        await everything(stdio)
    )


async def test_long_output_comes_in_pieces() -> None:
    stdio = Stdio()
    stdio.write(OUT, b"x" * 200_000)
    pieces = await everything(stdio)
    assert 200_000 == sum(len(data) for _, data in pieces)
    assert all(len(data) <= 128 << 10 for _, data in pieces)


def test_the_streams_are_put_back_and_children_write_below() -> None:
    before = sys.stdout, sys.stderr
    stdio = Stdio()
    with stdio.captures_stdout(), stdio.captures_stderr():
        assert (1, 2) == (sys.stdout.fileno(), sys.stderr.fileno())
        subprocess.run(["true"], check=True, stdout=sys.stdout, stderr=sys.stderr)
    assert before == (sys.stdout, sys.stderr)


@pytest.mark.parametrize("text", ["\udcff", "ü"])
async def test_every_text_can_be_printed(text: str) -> None:
    stdio = Stdio()
    with stdio.captures_stdout():
        print(text, end="")
    [(channel, data)] = await everything(stdio)
    assert (OUT, text.encode("utf-8", "backslashreplace")) == (channel, data)
