"""For each check a worker with one fault, which the check has to notice, and says what it sees."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hsu_worker.conformance import Outcome, Report, bounds, check, junit
from hsu_worker.conformance.catalog import CHECKS
from hsu_worker.conformance.check import Lane
from hsu_worker.master.tables import UnitConfig
from tests.conformance.forking import NOT_OF_FORKS, forking
from tests.conformance.mutants import FAMILIES, MUTANTS
from tests.conformance.mutants.mutant import CLAIM, EVERY, PING, SETTLE, Mutant, whole
from tests.conformance.stubs import compiled

#: Mutants that are checked at the same time.
JOBS = 12

#: Answers that nobody reckons with, in two workers: one that tells no interfaces hides the others.
STRANGE = {
    "strange": (
        (
            "        name, told = health_pb2",
            "        await context.abort(grpc.StatusCode.UNIMPLEMENTED); name, told = health_pb2",
        ),
        ("return health_pb2.HealthCheckResponse.SERVING", "return 77"),
        (
            "answer.oldest_call_age.FromNanoseconds(int(max(ages, default=0) * 1e9))",
            "answer.oldest_call_age.seconds = 2**62",
        ),
        ("answer.grace.FromMilliseconds(round(left * 1000))", "answer.grace.seconds = 2**62"),
    ),
    "unseen": (("pid=os.getpid()", "pid=0"),),
    "tells nothing": (("interfaces=[info]", "interfaces=[]"),),
}

#: Checks that look at the process whose pid the handshake tells.
SEEN_BY_PID = (
    *("children-environment", "standard-input-empty", "output-pipes"),
    *("token-secret", "children-gone", "start-stop-leaks"),
)

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

    async def strange(name: str, only: Iterable[str]) -> None:
        folder = tmp_path_factory.mktemp("strange")
        unit, file = whole(folder, stubs), folder / "worker.py"
        text = file.read_text()
        for before, after in STRANGE[name]:
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        file.write_text(text)
        found[name] = await check(unit, only=only, jobs=JOBS, patience=0.3)

    async def launched(sound: UnitConfig) -> None:
        await strange("unseen", SEEN_BY_PID)
        found["launched"] = await check(sound, only=NOT_OF_FORKS)
        await asyncio.gather(*(one(each) for each in MUTANTS if each.check in NOT_OF_FORKS))

    async def forked(sound: UnitConfig) -> None:
        async with forking(stubs):
            await asyncio.gather(*(one(each) for each in MUTANTS if each.check not in NOT_OF_FORKS))
            every = LAUNCHED.difference(NOT_OF_FORKS)
            await asyncio.gather(strange("strange", every), strange("tells nothing", every))
            found["forked"] = await check(sound, skip=NOT_OF_FORKS, help=EVERY, jobs=JOBS)

    async def every() -> None:
        sound = whole(tmp_path_factory.mktemp("sound"), stubs, child=True)
        await asyncio.gather(launched(sound), forked(sound))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "CLAIM", CLAIM)
        patch.setattr(bounds, "PING", PING)
        patch.setattr(bounds, "SETTLE", SETTLE)
        asyncio.run(every())
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


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("worker", "failed"),
    [
        ("strange", {"health-live", "health-watch", "ping-load", "shutdown-grace"}),
        ("tells nothing", {"handshake-interfaces"}),
    ],
)
def test_a_strange_answer_fails_its_check_and_no_other_goes_without_a_result(
    worker: str, failed: set[str], reports: dict[str, Report], tmp_path: Path
) -> None:
    report = reports[worker]
    assert LAUNCHED.difference(NOT_OF_FORKS) == {each.check.id for each in report.results}
    assert failed <= {each.check.id for each in report.failed}, str(report)
    assert "can't be read" not in str(report)
    (tmp_path / "report.xml").write_text(junit(report), "utf-8")
    [suite] = ET.parse(tmp_path / "report.xml").getroot()
    assert str(len(report.results)) == suite.get("tests")


@pytest.mark.timeout(300)
def test_what_is_seen_by_a_pid_is_no_proof_when_there_is_no_such_process(
    reports: dict[str, Report],
) -> None:
    found = {each.check.id: each.outcome for each in reports["unseen"].results}
    assert dict.fromkeys(SEEN_BY_PID, Outcome.SKIPPED) == found, str(reports["unseen"])


def test_every_check_has_a_fault_that_it_notices() -> None:
    # The one that is left is in test_check.py.
    assert LAUNCHED == {mutant.check for mutant in MUTANTS}


def test_a_fault_stands_in_the_file_of_its_check() -> None:
    groups = {
        family.__name__.rpartition(".")[2]: {CHECKS[each.check].group for each in family.MUTANTS}
        for family in FAMILIES
    }
    assert {name: {name} for name in groups} == groups
