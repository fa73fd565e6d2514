"""The Go HSUs keep the launch contract, as the kit proves it."""

import subprocess
from pathlib import Path

import pytest

from hsu_worker.conformance import Help, Outcome, check, command
from tests.languages.go.built import EXAMPLES, WHOLE, WORKER

#: What the second worker can do, for the checks that take more than a quick call.
ABLE = Help(
    slow_method="hsu.a.v1.InterfaceA/Summarize",
    slow_request='{"text": "hello", "sentences": 2}',
    slow_start={"SLOW_START": "1"},
    failing_start={"FAILING_START": "1"},
    stuck_release={"STUCK_RELEASE": "1"},
    flood={"FLOOD": "1"},
)


@pytest.fixture
def whole(tmp_path: Path) -> str:
    """The second worker, built."""
    program = str(tmp_path / "whole_worker")
    build = ["go", "build", "-mod=mod", "-o", program, str(WHOLE)]
    subprocess.run(build, cwd=EXAMPLES / "go", check=True)
    return program


@pytest.mark.timeout(600)
async def test_the_package_keeps_all_that_the_contract_asks_for(whole: str) -> None:
    report = await check(command([whole]), help=ABLE)
    assert [] == [result.text for result in report.failed]
    assert [] == [result.check.id for result in report.of(Outcome.SKIPPED)]


async def test_interface_a_keeps_all_that_quick_calls_can_show() -> None:
    report = await check(command([str(WORKER)]))
    assert [] == [result.text for result in report.failed]
    assert len(report.results) - len(report.of(Outcome.SKIPPED)) > 70
