"""A worker's pipe becomes lines, and is read for ever."""

import asyncio
import os
import sys
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hsu_worker.master import output
from hsu_worker.master.logs import BATCH_LINES, LINE_COST, RING_SIZE, UnitLog
from hsu_worker.master.output import LINE_BYTES, OutputPipe
from tests.sequences import assert_same

#: A child that numbers its lines, and writes so many of such a length.
CHILD = """
import os, sys
count, width = map(int, sys.argv[1:])
for start in range(0, count, 64):
    lines = b"".join(b"%0*d\\n" % (width - 1, n + 1) for n in range(start, start + 64))
    assert len(lines) == os.write(1, lines)
"""


def split(*chunks: bytes) -> list[str]:
    """The lines that come of these chunks and the end of the pipe."""
    lines: list[str] = []
    pipe = OutputPipe(lines.append)
    for chunk in chunks:
        pipe.data_received(chunk)
    pipe.connection_lost(None)
    return lines


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b", b"\nc", b"\n"], ["ab", "c"]),
        ([b"\n\na\n"], ["", "", "a"]),
        ([b"a\nunterminated"], ["a", "unterminated"]),
        ([b"caf\xc3", b"\xa9\n"], ["caf\u00e9"]),
        ([b"\xff a\xfe\n"], ["\ufffd a\ufffd"]),
        ([b"cut \xc3"], ["cut \ufffd"]),
        ([b"a\r\nb\r", b"\n\r\n"], ["a", "b", ""]),
        ([b"a\rb\r\r\nc\r"], ["a\rb\r", "c\r"]),
        ([b"\x00\x1b[1m\x07\x7f\n"], ["\x00\x1b[1m\x07\x7f"]),
    ],
)
async def test_output_is_split_into_lines(chunks: list[bytes], lines: list[str]) -> None:
    assert lines == split(*chunks)


@pytest.mark.parametrize(
    "chunks",
    [
        [b"x" * LINE_BYTES + b"\nnext\n"],
        [b"x" * LINE_BYTES, b"\nnext\n"],
        [b"x" * (LINE_BYTES - 1), b"x", b"\n", b"next\n"],
        [b"x" * LINE_BYTES + b"\r\nnext\n"],
        [b"x" * LINE_BYTES, b"\r", b"\nnext\n"],
    ],
)
async def test_a_line_of_the_greatest_length_is_one_line(chunks: list[bytes]) -> None:
    assert ["x" * LINE_BYTES, "next"] == split(*chunks)


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("size", [1000, LINE_BYTES, 10 * LINE_BYTES])
async def test_a_longer_line_is_split(size: int, end: bytes) -> None:
    output = b"a" * LINE_BYTES + b"b" * LINE_BYTES + b"c" + end
    chunks = [output[start : start + size] for start in range(0, len(output), size)]
    assert ["a" * LINE_BYTES, "b" * LINE_BYTES, "c"] == split(*chunks)


async def test_a_line_without_end_does_not_wait_for_it() -> None:
    lines: list[str] = []
    pipe = OutputPipe(lines.append)
    pipe.data_received(b"x" * (LINE_BYTES + 1))
    assert ["x" * LINE_BYTES] == lines


async def test_the_end_of_the_pipe_is_told_once() -> None:
    pipe = OutputPipe(lambda _: None)
    assert not pipe.ended.done()
    pipe.connection_lost(BrokenPipeError())
    pipe.connection_lost(None)
    assert await pipe.ended is None


@pytest.mark.parametrize("room", [1, 2, 3, 4])
async def test_a_line_is_not_split_within_a_character(room: int) -> None:
    start = "x" * (LINE_BYTES - room)
    face = "\U0001f600"
    expected = [start + face, "y"] if room == 4 else [start, face + "y"]
    assert expected == split(f"{start}{face}y\n".encode())


async def test_bytes_that_belong_to_no_character_are_split_at_the_greatest_length() -> None:
    start = "x" * (LINE_BYTES - 3)
    assert [start + "\ufffd" * 3, "\ufffd"] == split(start.encode() + b"\x80" * 4)


def in_small(*chunks: bytes) -> list[str]:
    async def run() -> list[str]:
        return split(*chunks)

    with mock.patch.object(output, "LINE_BYTES", 8):
        return asyncio.run(run())


#: Bytes that begin, go on with and end a character, in all wrong orders too.
MIXED = st.lists(
    st.sampled_from([b"a", b"\r", b"\n", b"\xc3", b"\x80", b"\xbf", b"\xf0", b"\xff"])
    | st.characters(codec="utf-8").map(str.encode)
).map(b"".join)


@given(MIXED.map(lambda data: data.replace(b"\n", b"")))
@example(b"1234567" + b"\x80" * 9)
@example("\u20ac".encode() * 9)
def test_the_parts_of_a_line_are_the_line(data: bytes) -> None:
    parts = in_small(data)
    assert data.decode("utf-8", "replace") == "".join(parts)
    assert all(parts)
    assert len(parts) <= len(data) // 5 + 1


@given(st.lists(MIXED))
@example([b"12345678", b"\r", b"x"])
def test_lines_do_not_depend_on_how_they_come(chunks: list[bytes]) -> None:
    assert in_small(b"".join(chunks)) == in_small(*chunks)


async def test_a_worker_that_writes_200_mib_waits_for_no_follower() -> None:
    width = 4096
    count = (200 << 20) // width
    log = UnitLog()
    follower = log.follow()
    log.append(0, "hsu", "first")
    batch = await anext(follower)
    assert (0, 1) == (batch.dropped, len(batch.lines))

    reading, writing = os.pipe()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-ISc", CHILD, str(count), str(width), stdout=writing
    )
    os.close(writing)
    transport, pipe = await asyncio.get_running_loop().connect_read_pipe(
        lambda: OutputPipe(lambda text: log.append(1, "stdout", text)),
        os.fdopen(reading, "rb", 0),
    )
    # The follower is stalled all the while.
    await pipe.ended
    transport.close()
    assert 0 == await child.wait()

    log.close()
    rest = [batch async for batch in follower]
    kept = RING_SIZE // (width - 1 + LINE_COST)
    assert_same([count - kept, *[0] * (len(rest) - 1)], [batch.dropped for batch in rest])
    lines = [line for batch in rest for line in batch.lines]
    assert_same(range(count - kept + 1, count + 1), [int(line.text) for line in lines])
    assert_same(range(count - kept + 2, count + 2), [line.sequence for line in lines])
    assert max(len(batch.lines) for batch in rest) <= BATCH_LINES
