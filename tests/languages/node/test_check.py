"""The Node HSUs keep the launch contract, as the kit proves it."""

import pytest

from hsu_worker.conformance import Help, Outcome, check, command
from tests.languages.node.built import WHOLE, WORKER

#: What the second worker can do, for the checks that take more than a quick call.
ABLE = Help(
    slow_method="hsu.a.v1.InterfaceA/Summarize",
    slow_request='{"text": "hello", "sentences": 2}',
    slow_start={"SLOW_START": "1"},
    failing_start={"FAILING_START": "1"},
    stuck_release={"STUCK_RELEASE": "1"},
    flood={"FLOOD": "1"},
)


@pytest.mark.timeout(600)
async def test_the_module_keeps_all_that_the_contract_asks_for() -> None:
    report = await check(command(list(WHOLE)), help=ABLE)
    assert [] == [result.text for result in report.failed]
    # It has no children and no stream of requests, and its ring holds more than the kit fills.
    assert ["children-environment", "log-dropped", "malformed-in-stream"] == sorted(
        result.check.id for result in report.of(Outcome.SKIPPED)
    )


@pytest.mark.timeout(300)
async def test_interface_a_keeps_all_that_quick_calls_can_show() -> None:
    report = await check(command(list(WORKER)))
    assert [] == [result.text for result in report.failed]
    assert len(report.results) - len(report.of(Outcome.SKIPPED)) > 70
