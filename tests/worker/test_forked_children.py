"""Processes that the user's code forks: the signals that they get are theirs alone."""

from pathlib import Path

import pytest

from hsu_worker.gen.hsu_core import STATE_RUNNING, PingRequest
from tests.gen.hsu_test_kinds import Ask
from tests.worker.process import launched, write_service

#: In the service's module: children that are signalled as soon as there is one, and how they end.
FORKS = """
import multiprocessing, signal, warnings
# Newer Pythons warn of what is tried here.
warnings.simplefilter("ignore", DeprecationWarning)

def wait():
    while True:
        signal.pause()

def forked():
    pid = os.fork()
    if not pid:
        wait()
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def terminated():
    child = multiprocessing.get_context("fork").Process(target=wait)
    child.start()
    child.terminate()
    child.join()
    return child.exitcode

def interrupted():
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(write, b"x")
            wait()
        except KeyboardInterrupt:
            os._exit(2)
    os.read(read, 1)
    os.kill(pid, signal.SIGINT)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
ON_THE_LOOP = "async def unary(self, request):\n    return Answer(number={}())"
IN_A_THREAD = ON_THE_LOOP.removeprefix("async ")

#: A child has a moment in which it isn't itself yet: one in some is signalled just then.
CHILDREN = 20


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (ON_THE_LOOP.format("forked"), -15),
        (IN_A_THREAD.format("forked"), -15),
        (ON_THE_LOOP.format("terminated"), -15),
        (ON_THE_LOOP.format("interrupted"), 2),
        (
            "@lifespan\n"
            "async def handled(self):\n"
            "    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n"
            "    yield\n" + ON_THE_LOOP.format("forked"),
            7,
        ),
    ],
    ids=["on the loop", "in a thread", "multiprocessing", "SIGINT", "a handler of the user's"],
)
async def test_a_signal_ends_a_child_and_the_worker_goes_on(
    tmp_path: Path, body: str, code: int
) -> None:
    target = write_service(tmp_path, body, before=FORKS)
    # grpc's own help for forks lets one child in some thirty crash.
    async with launched(tmp_path, target, GRPC_ENABLE_FORK_SUPPORT="0") as worker:
        await worker.start()
        ended = [await worker.kinds.unary(Ask(), timeout=20) for _ in range(CHILDREN)]
        told = await worker.core.ping(PingRequest())

    assert [code] * CHILDREN == [answer.number for answer in ended]
    assert told.state == STATE_RUNNING
