import pytest

from hsu_worker.master.logs import LINE_BYTES, LINE_COST, RING_SIZE, OutputPipe, UnitLog


def split(*chunks: bytes) -> list[str]:
    """The lines that come of these chunks and the end of the pipe."""
    lines: list[str] = []
    pipe = OutputPipe(lines.append)
    for chunk in chunks:
        pipe.data_received(chunk)
    pipe.connection_lost(None)
    return lines


def test_lines_are_numbered_from_one_across_generations() -> None:
    log = UnitLog()
    log.append(1, "stdout", "a")
    log.append(1, "stderr", "b")
    log.append(2, "my.logger", "c")
    assert [(1, 1, "stdout", "a"), (2, 1, "stderr", "b"), (3, 2, "my.logger", "c")] == [
        (line.sequence, line.generation, line.source, line.text) for line in log.lines()
    ]
    assert 0 == log.dropped


def test_the_oldest_lines_go_when_the_ring_is_full() -> None:
    log = UnitLog()
    # With its line end, each is a quarter of the ring.
    text = "x" * (RING_SIZE // 4 - LINE_COST)
    for _ in range(4):
        log.append(1, "stdout", text)
    assert (0, [1, 2, 3, 4]) == (log.dropped, [line.sequence for line in log.lines()])
    log.append(1, "stdout", "")
    assert (1, [2, 3, 4, 5]) == (log.dropped, [line.sequence for line in log.lines()])


def test_a_line_larger_than_the_ring_is_kept_alone() -> None:
    log = UnitLog()
    log.append(1, "stdout", "small")
    log.append(1, "my.logger", "x" * (RING_SIZE + 1))
    assert (1, [2]) == (log.dropped, [line.sequence for line in log.lines()])
    log.append(1, "stdout", "next")
    assert (2, ["next"]) == (log.dropped, [line.text for line in log.lines()])


def test_the_list_of_lines_does_not_change_later() -> None:
    log = UnitLog()
    log.append(1, "stdout", "a")
    before = log.lines()
    log.append(1, "stdout", "b")
    assert ["a"] == [line.text for line in before]


def test_the_tail_is_of_one_generation_and_without_blank_lines() -> None:
    log = UnitLog()
    assert [] == log.tail(1)
    for number in range(12):
        log.append(1, "stdout", f"old {number}")
        log.append(2, "stderr", f"new {number}")
        log.append(2, "stderr", " ")
    assert ["new 10", "new 11"] == log.tail(2, 2)
    assert [f"old {number}" for number in range(2, 12)] == log.tail(1)
    assert [] == log.tail(3)


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
