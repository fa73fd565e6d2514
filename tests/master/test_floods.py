"""However much a worker writes, in whatever bytes: the log holds the end of it, and counts the rest."""

from pathlib import Path

from hsu_worker.master import LogLine
from hsu_worker.master.logs import LINE_COST, RING_SIZE
from hsu_worker.master.output import LINE_BYTES
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, running, text
from tests.sequences import assert_same
from tests.until import until

TALK = """
async def unary(self, request):
    exec(request.text)
    return Answer(text="done")
"""

LINES = 10 << 10
#: Ten MiB with their ends; each line says which one it is.
FLOOD = f"for n in range({LINES}): print(f'{{n:09}}', 'x' * 1013)"


async def run(it: Running, code: str) -> None:
    """Run code in a call of the worker, and end it with a line that nobody else writes."""
    code = f"{code}\nprint('that was all', flush=True)"
    assert "done" == (await it.kinds.unary(Ask(text=code), timeout=30)).text
    await until(lambda: "that was all" in it.lines("stdout")[-1:])


async def quiet(it: Running) -> int:
    """Start the unit and wait until its log holds all that it says of itself; counts the lines."""
    await it.kinds.unary(Ask(text="import logging; logging.getLogger('x').error('begin')"))
    await until(lambda: it.lines("x"))
    return len(it.master.log("u"))


def numbers_follow(lines: list[LogLine]) -> bool:
    first = lines[0].sequence
    return list(range(first, first + len(lines))) == [line.sequence for line in lines]


async def test_ten_mib_in_lines_are_whole_in_order_and_counted(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, TALK))) as it:
        before = await quiet(it)
        await run(it, FLOOD)
        *lines, last = it.master.log("u")

    kept = RING_SIZE // (1023 + LINE_COST)
    assert kept - 1 <= len(lines) <= kept
    expected = [f"{n:09} {'x' * 1013}" for n in range(LINES - len(lines), LINES)]
    assert_same(expected, [line.text for line in lines])
    assert {"stdout"} == {line.source for line in lines}
    assert numbers_follow([*lines, last])
    # The numbers of those that had to go are missing: none twice, none forgotten.
    dropped = lines[0].sequence - 1
    assert before + LINES == dropped + len(lines)


async def test_two_streams_at_once_are_whole_and_in_order_each(tmp_path: Path) -> None:
    code = "for n in range(2000): print(n); print(n, file=sys.stderr)"
    async with running(tmp_path, text(app(tmp_path, TALK))) as it:
        await quiet(it)
        await run(it, code)
        await until(lambda: 2000 == len(it.lines("stderr")))
        out, err = it.lines("stdout"), it.lines("stderr")
        assert numbers_follow(it.master.log("u"))

    assert_same([*map(str, range(2000)), "that was all"], out)
    assert_same([*map(str, range(2000))], err)


async def test_a_line_of_one_mib_comes_in_pieces_of_which_none_is_lost(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, TALK))) as it:
        before = await quiet(it)
        await run(it, "print('y' * (1 << 20))")
        *lines, last = it.master.log("u")

    pieces = (1 << 20) // LINE_BYTES
    assert before + pieces + 1 == last.sequence
    # They fill the ring alone but for their costs, so that the first one had to go.
    assert ["y" * LINE_BYTES] * (pieces - 1) == [line.text for line in lines]


async def test_a_log_record_of_one_mib_is_cut_and_says_so(tmp_path: Path) -> None:
    code = "import logging; logging.getLogger('big').error('z' * (1 << 20))"
    async with running(tmp_path, text(app(tmp_path, TALK))) as it:
        await quiet(it)
        await it.kinds.unary(Ask(text=code), timeout=30)
        await until(lambda: it.lines("big"))
        (line,) = it.lines("big")

    assert f"{'z' * LINE_BYTES} [cut: {1 << 20} bytes]" == line


async def test_bytes_that_are_no_utf_8_are_replaced(tmp_path: Path) -> None:
    code = r"os.write(1, b'\xff\xfe caf\xe9\n' + 'h\u00fcl\u00f6 \U0001f642\n'.encode() + b'\0\n')"
    async with running(tmp_path, text(app(tmp_path, TALK))) as it:
        await quiet(it)
        await run(it, code)
        lines = it.lines("stdout")

    assert ["\ufffd\ufffd caf\ufffd", "h\u00fcl\u00f6 \U0001f642", "\0", "that was all"] == lines


async def test_binary_output_neither_blocks_nor_ends_the_worker(tmp_path: Path) -> None:
    code = (
        "import random; rest = random.Random(7).randbytes(4 << 20)\n"
        "while rest: rest = rest[os.write(2, rest):]"
    )
    async with running(tmp_path, text(app(tmp_path, TALK))) as it:
        await quiet(it)
        await it.kinds.unary(Ask(text=code), timeout=30)
        await it.kinds.unary(Ask(text=""), timeout=30)
        assert ["starting", "ready"] == [event.kind for event in it.told]
        assert numbers_follow(it.master.log("u"))
