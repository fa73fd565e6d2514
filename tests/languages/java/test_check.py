"""The Java HSU, written of the contract's page alone, does all that a worker must."""

import json

import pytest

from hsu_worker.conformance import Help, Level, Outcome, check, command
from tests.languages.java.built import WORKER

#: A call that takes seconds: sentences that all share their words.
SENTENCE = f"All of it is {' '.join(f'word{i}' for i in range(200))}. "
SLOW = Help(
    slow_method="hsu.a.v1.InterfaceA/Summarize",
    slow_request=json.dumps({"text": SENTENCE * 700}),
)


@pytest.mark.timeout(600)
async def test_it_does_all_that_a_worker_must() -> None:
    report = await check(command(list(WORKER)), help=SLOW)
    assert report.passes(Level.MUST), str(report)
    # grpc-java takes no such pings unless it is told to.
    assert "keepalive" in [each.check.id for each in report.of(Outcome.PASSED)]
    # It has no children and no stream of requests, prints nothing, and its start and its stop take
    # no time.
    skipped = [each.check for each in report.of(Outcome.SKIPPED)]
    assert [
        "children-environment",
        "malformed-in-stream",
        "output-flood",
        "start-failed",
        "stuck-release",
        "while-starting",
    ] == sorted(check.id for check in skipped if check.level is Level.MUST)
