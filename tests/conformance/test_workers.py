"""True workers, checked as anybody's are: ours, and one that uses nothing of ours."""

import asyncio
import sys

import pytest

from hsu_worker.conformance import Help, Level, Outcome, Report, bounds, check, command
from hsu_worker.conformance.catalog import CHECKS
from hsu_worker.conformance.check import Lane
from tests.conformance.forking import NOT_OF_FORKS, forking
from tests.conformance.mutants.mutant import CLAIM, PING
from tests.conformance.stubs import ROOT, compiled
from tests.worker.process import write_service

#: Makes the service of tests/worker/process.py do what the kit can be helped with.
BODY = """
@lifespan
async def loaded(self):
    for step in range(20 if "SLOW" in os.environ else 0):
        report_progress(step / 20, "reading")
        await asyncio.sleep(0.3)
    if "FAIL" in os.environ:
        raise ValueError("no model")
    child = await asyncio.create_subprocess_exec("sleep", "60")
    if "FLOOD" in os.environ:
        threading.Thread(target=flood, daemon=True).start()
    yield
    child.kill()
    await child.wait()
    if "STUCK" in os.environ:
        await asyncio.sleep(3600)
"""
FLOOD = """
def flood():
    for _ in range(52 * 1024):
        print("x" * 1023, flush=True)
"""
#: It is pinged more often than it would be.
PINGED = "from hsu_worker.serving import server; server.PING_INTERVAL = 100\n"
HELPED = Help(
    slow_start={"SLOW": "1"},
    failing_start={"FAIL": "1"},
    stuck_release={"STUCK": "1"},
    flood={"FLOOD": "1"},
)
#: Of the bare worker.
A_SLOW_CALL = Help(
    slow_method="hsu.a.v1.InterfaceA/StreamSummary",
    slow_request=f'{{"text": "{"A. " * 300}", "sentences": 300}}',
)
#: The checks that need it, the one that needs a child, and the one that pings.
HELPED_CHECKS = (
    "children-environment",
    "output-flood",
    "while-starting",
    "start-progress",
    "start-failed",
    "keepalive",
    "stop-abandons",
    "stuck-release",
    "children-gone",
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """What the kit says of each; all at once, because much of it is waiting."""
    folder = tmp_path_factory.mktemp("workers")
    stubs = compiled(folder / "stubs")
    a, b = (ROOT / "examples" / name for name in ("hsu_a_service1", "hsu_b_service1"))
    python = [sys.executable, "-m", "hsu_worker.worker"]
    bare = command([sys.executable, "bare_worker.py"], cwd=folder, env={"PYTHONPATH": str(stubs)})
    example_a = command([*python, "hsu_a_service1:App"], cwd=a)
    example_b = command(
        [*python, "hsu_b_service1:App"],
        cwd=b,
        env={"HSU_B_INDEX": str(folder / "index.sqlite3")},
    )
    ours = command(
        [*python, write_service(folder, BODY, before=PINGED + FLOOD)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
    )
    launched = [each for each in CHECKS.values() if each.lane is not Lane.UNLAUNCHED]
    musts = {each.id for each in launched if each.level is Level.MUST}
    # Those that only wait look at nothing that an example could change.
    swift = [each.id for each in launched if each.lane is not Lane.WAITING]

    async def forked() -> Report:
        async with forking(stubs):
            return await check(bare, only=musts.difference(NOT_OF_FORKS), help=A_SLOW_CALL, jobs=8)

    async def run() -> dict[str, Report]:
        checked = await asyncio.gather(
            # All at once, for one of them takes ten seconds.
            check(ours, only=HELPED_CHECKS, help=HELPED, jobs=len(HELPED_CHECKS)),
            check(example_a, only=swift),
            check(
                example_b,
                only=swift,
                help=Help(failing_start={"HSU_B_INDEX": "/dev/null/index"}),
            ),
            check(bare, only=musts.intersection(NOT_OF_FORKS)),
            forked(),
        )
        return dict(zip(("helped", "a", "b", "launched", "forked"), checked, strict=True))

    # Claimed within fifteen seconds: the test has less time.
    text = (ROOT / "tests" / "bare_worker.py").read_text()
    assert text.count("call_later(15,") == 1
    (folder / "bare_worker.py").write_text(text.replace("call_later(15,", f"call_later({CLAIM},"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "CLAIM", CLAIM)
        patch.setattr(bounds, "PING", PING)
        return asyncio.run(run())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("worker", ["a", "b", "helped"])
def test_ours_pass_at_every_level(worker: str, reports: dict[str, Report]) -> None:
    assert reports[worker].passes(Level.MAY), str(reports[worker])


@pytest.mark.timeout(300)
def test_ours_can_be_helped_with_all_that_needs_help(reports: dict[str, Report]) -> None:
    passed = {result.check.id for result in reports["helped"].of(Outcome.PASSED)}
    assert set(HELPED_CHECKS) == passed, str(reports["helped"])


@pytest.mark.timeout(300)
def test_the_bare_one_does_all_that_it_must(reports: dict[str, Report]) -> None:
    both = [reports["launched"], reports["forked"]]
    assert [] == [str(report) for report in both if not report.passed]
    # It loads nothing, starts nothing, and takes no stream: these can't be seen of it.
    unseen = {"children-environment", "handshake-fingerprint", "output-flood", "start-failed"}
    unseen |= {"malformed-in-stream", "while-starting"}
    skipped = [r.check for report in both for r in report.of(Outcome.SKIPPED)]
    assert unseen | {"stuck-release"} == {each.id for each in skipped}
