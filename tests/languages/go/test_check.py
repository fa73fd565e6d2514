"""The Go HSU keeps the launch contract, as the kit proves it.

It answers too quickly for the checks that take a call that lasts: test_worker.py has those.
"""

from hsu_worker.conformance import Outcome, check, command
from tests.languages.go.built import WORKER


async def test_it_keeps_all_that_the_contract_asks_for() -> None:
    report = await check(command([str(WORKER)]))
    assert [] == [result.text for result in report.failed]
    assert len(report.results) - len(report.of(Outcome.SKIPPED)) > 70
