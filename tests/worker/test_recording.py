import io
import logging
import logging.config
import sys
from collections.abc import Generator

import pytest

from hsu_worker.serving.logring import LogRing
from hsu_worker.worker import blocked_loop
from hsu_worker.worker.recording import Recording, tee_output, to_stderr


@pytest.fixture(autouse=True)
def root_logger() -> Generator[logging.Logger, None, None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in root.manager.loggerDict:
        logging.getLogger(name).disabled = False


def lines(ring: LogRing) -> list[tuple[str, int, str]]:
    return [(entry.logger, entry.level, entry.message) for entry in ring.take(1, 100)[1]]


def test_whole_lines_of_both_streams_are_kept_and_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ring = LogRing()
    with tee_output(ring):
        print("one")
        print("tw", end="")
        sys.stderr.write("problem\r\n")
        print("o\nthree")
        sys.stdout.writelines(["four", "\n"])

    assert lines(ring) == [
        ("stdout", 20, "one"),
        ("stderr", 30, "problem"),
        ("stdout", 20, "two"),
        ("stdout", 20, "three"),
        ("stdout", 20, "four"),
    ]
    assert capsys.readouterr() == ("one\ntwo\nthree\nfour\n", "problem\r\n")


def test_a_line_that_never_ends_is_kept_in_pieces() -> None:
    ring = LogRing(line_bytes=10)
    with tee_output(ring):
        for number in range(30):
            print(number % 10, end="")
        print("\n" + "é" * 5)

    kept = [message for _, _, message in lines(ring)]
    assert "".join(kept) == "0123456789" * 3 + "é" * 5
    assert max(len(message.encode()) for message in kept) <= 10


def test_the_streams_stay_what_programs_expect() -> None:
    before = sys.stdout
    with tee_output(LogRing()):
        assert sys.stdout.encoding == before.encoding
        assert sys.stdout.isatty() == before.isatty()
        assert sys.stdout.writable()
        sys.stdout.buffer.write(b"")
    assert sys.stdout is before


def test_launched_only_tracebacks_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    ring = LogRing()
    Recording(ring, to_stderr(failures_only=True))
    log = logging.getLogger("mine")
    log.info("quiet")
    log.error("no traceback")
    try:
        int("boom")
    except ValueError:
        log.exception("failed")

    errors = capsys.readouterr().err
    assert "quiet" not in errors
    assert "no traceback" not in errors
    assert "ValueError: invalid literal" in errors
    assert [message for _, _, message in lines(ring)] == ["quiet", "no traceback", "failed"]


def test_launched_what_blocks_the_loop_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    ring = LogRing()
    Recording(ring, to_stderr(failures_only=True), beside_only=blocked_loop.__name__)
    blocked_loop.log.warning("it is blocked")

    assert 1 == capsys.readouterr().err.count("it is blocked")
    assert [] == lines(ring)


def test_not_launched_every_record_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Recording(LogRing(), to_stderr())
    logging.getLogger("mine").info("seen")

    assert "INFO mine: seen" in capsys.readouterr().err


def test_the_level_bounds_what_is_kept() -> None:
    ring = LogRing()
    Recording(ring, to_stderr(), level="ERROR")
    logging.getLogger("mine").warning("not kept")

    assert lines(ring) == []


def test_a_configuration_of_the_users_own_does_not_lose_the_ring() -> None:
    ring = LogRing()
    recording = Recording(ring, to_stderr(failures_only=True))
    logging.basicConfig(level="DEBUG", force=True)
    recording.install()
    logging.getLogger("mine").debug("kept")

    assert lines(ring) == [("mine", 10, "kept")]


def test_a_configuration_that_silences_what_is_there_does_not_silence_us() -> None:
    ring = LogRing()
    recording = Recording(ring, to_stderr(failures_only=True))
    own = logging.getLogger("hsu_worker.serving.failures")
    logging.config.dictConfig({"version": 1, "root": {"level": "INFO", "handlers": []}})
    assert own.disabled
    recording.install()
    own.error("kept")

    assert lines(ring) == [("hsu_worker.serving.failures", 40, "kept")]


def test_the_streams_can_be_set_up_anew() -> None:
    ring = LogRing()
    stream = io.TextIOWrapper(io.BytesIO())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        with tee_output(ring):
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    assert stream.line_buffering
