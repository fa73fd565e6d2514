"""For each check a worker with one fault, which the check has to notice, and says what it sees."""

import asyncio

import pytest

from hsu_worker.conformance import Outcome, Report, bounds, check, run
from hsu_worker.conformance.catalog import CHECKS
from hsu_worker.conformance.check import Lane
from tests.conformance.forking import forking
from tests.conformance.mutants import CLAIM, EVERY, MUTANTS, Mutant, whole
from tests.conformance.stubs import compiled

#: Mutants that are checked at the same time.
JOBS = 10

#: Checks that look at the environments of processes: those of forks are the zygote's.
NOT_OF_FORKS = ("children-environment", "children-gone", "master-killed", "token-secret")

LAUNCHED = {each.id for each in CHECKS.values() if each.lane is not Lane.UNLAUNCHED}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """What the kit says of each mutant, and of sound ones; all at once, or it would take minutes."""
    stubs = compiled(tmp_path_factory.mktemp("stubs"))
    slots = asyncio.Semaphore(JOBS)
    found: dict[str, Report] = {}

    async def one(mutant: Mutant) -> None:
        async with slots:
            found[mutant.name] = await mutant.checked(tmp_path_factory.mktemp("mutant"), stubs)

    async def every(patch: pytest.MonkeyPatch) -> None:
        sound = whole(tmp_path_factory.mktemp("sound"), stubs, child=True)
        true = [mutant for mutant in MUTANTS if mutant.check in NOT_OF_FORKS]
        await asyncio.gather(*map(one, true))
        found["launched"] = await check(sound, only=NOT_OF_FORKS)
        async with forking(stubs) as keeper:
            patch.setattr(run, "Keeper", keeper)
            await asyncio.gather(*(one(mutant) for mutant in MUTANTS if mutant not in true))
            found["forked"] = await check(sound, skip=NOT_OF_FORKS, help=EVERY, jobs=JOBS)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "CLAIM", CLAIM)
        asyncio.run(every(patch))
    return found


@pytest.mark.timeout(300)
def test_a_worker_without_a_fault_passes_every_check(reports: dict[str, Report]) -> None:
    results = [*reports["launched"].results, *reports["forked"].results]
    assert {} == {r.check.id: r.text for r in results if r.outcome is not Outcome.PASSED}
    assert LAUNCHED == {result.check.id for result in results}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_check_notices(mutant: Mutant, reports: dict[str, Report]) -> None:
    [result] = [r for r in reports[mutant.name].results if r.check.id == mutant.check]
    assert (Outcome.FAILED, mutant.check) == (result.outcome, result.check.id), result.text
    assert mutant.seen in result.seen, result.text


def test_every_check_has_a_fault_that_it_notices() -> None:
    # The one that is left is in test_address.py.
    assert LAUNCHED == {mutant.check for mutant in MUTANTS}
