"""For each fault that true processes show, a planted bug: its test has to fail then."""

import asyncio
import inspect
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import shell, test_master_run
from tests.master import (
    test_admission,
    test_faults_dependencies,
    test_faults_life,
    test_faults_starts,
    test_faults_stops,
    test_output,
    test_output_pipe,
    test_warm,
)
from tests.master.running import app, text
from tests.master.sim.mutants import Mutant, planted

#: Seconds, five times what any of the tests takes when nothing is planted.
BOUND = 30.0

#: Bugs with which something waits for ever: the test is given this long, and has failed then.
HANGS = {
    "T10": 5.0,
    "T11": 5.0,
    "T17": 10.0,
    "T18": 10.0,
    "T32": 10.0,
    "T43": 8.0,
    "T52": 10.0,
}


async def a_few_starts_and_stops(tmp_path: Path) -> None:
    """T45 in small."""
    await test_faults_stops.leave_nothing_behind(tmp_path, count=3, cycles=2)


MUTANTS: dict[Callable[..., Any], list[Mutant]] = {
    test_faults_starts.test_t10_all_who_wait_learn_at_once_that_the_process_has_ended: [
        Mutant(
            "an exit that nobody looks at during a start",
            "T10",
            "spawned:Spawned._alive_until",
            "(task, exited, moved),",
            "(task, moved),",
        ),
    ],
    test_faults_starts.test_t11_a_start_that_stands_still_is_given_up: [
        Mutant(
            "a start that may stand still for ever",
            "T11",
            "spawned:Spawned._alive_until",
            "timeout=self.unit.stall,",
            "timeout=None,",
        ),
    ],
    test_faults_starts.test_t12_a_slow_start_that_shows_progress_may_take_longer_than_the_stall_budget: [
        Mutant(
            "progress that extends nothing",
            "T12",
            "launcher:Worker.run_lifespans",
            "moved()\n",
            "pass\n",
        ),
    ],
    test_faults_starts.test_t13_what_can_not_be_executed_is_one_error_per_call_and_starts_nothing_twice: [
        Mutant(
            "a start that fails is tried again by itself",
            "T13",
            "policy.note:_start_failed",
            "again = state.rules.restart in (Restart.ALWAYS, Restart.ON_FAILURE) and not stopped",
            "again = not stopped",
        ),
    ],
    test_faults_life.test_t17_a_worker_that_is_stopped_is_killed_and_its_queue_served: [
        Mutant(
            "no answer is an answer",
            "T17",
            "liveness:Liveness._missed",
            "if not look.answered:",
            "if False:",
        ),
    ],
    test_faults_life.test_t18_a_deadlock_under_calls_with_deadlines_is_noticed: [
        Mutant(
            "calls may outlive their deadlines",
            "T18",
            "liveness:Liveness._missed",
            "look.busy and look.overdue > OVERDUE",
            "False",
        ),
    ],
    test_faults_stops.test_t19_a_worker_that_will_not_go_is_killed_at_its_grace: [
        Mutant(
            "each step of a stop takes a grace of its own",
            "T19",
            "spawned:Spawned._end",
            "max(until - loop.time(), TERM_LEAST)",
            "self.unit.grace",
        ),
    ],
    test_faults_starts.test_t35_a_stranger_that_answers_for_the_worker_is_rejected: [
        Mutant(
            "whoever answers is the one",
            "T35",
            "launcher:Worker.greet",
            "instance=instance",
            "instance=''",
        ),
    ],
    test_output_pipe.test_a_worker_that_writes_200_mib_waits_for_no_follower: [
        Mutant(
            "a loss that is not counted",
            "T36",
            "logs:UnitLog._take",
            "LogBatch(dropped,",
            "LogBatch(min(dropped, 1),",
        ),
    ],
    test_output.test_the_last_lines_before_a_crash_are_kept: [
        Mutant(
            "a line that was told is told again with the next one",
            "T37",
            "output:OutputPipe.data_received",
            "self._rest.clear()",
            "pass",
        ),
    ],
    test_faults_stops.test_t38_a_log_is_followed_across_generations_and_followers: [
        Mutant(
            "a cursor is told again",
            "T38",
            "logs:UnitLog.follow",
            "cursor = min(after, self._next - 1)",
            "cursor = min(max(0, after - 1), self._next - 1)",
        ),
    ],
    test_admission.test_t31_only_one_of_an_exclusive_group_is_alive_and_nobody_starves: [
        Mutant(
            "the place is free before its worker is gone",
            "T31",
            "residency.plan:Plan._served",
            "if not self._future.lacks(claim) and not self._present.lacks(claim):",
            "if not self._future.lacks(claim):",
        ),
    ],
    test_admission.test_t32_sustained_load_on_the_resident_does_not_keep_the_other_one_out: [
        Mutant(
            "a busy one never has to go",
            "T32",
            "residency.plan:Plan._evict",
            "victim.idle or own or self._now >= overdue",
            "victim.idle or own",
        ),
    ],
    test_admission.test_t33_a_start_that_runs_out_of_memory_is_tried_once_more_with_the_others_gone: [
        Mutant(
            "a start that runs out of memory is a failure like others",
            "T33",
            "instance:Instance._start",
            "told, again = self.worker.residence.failed(error)",
            'told, again = error, ""',
        ),
    ],
    a_few_starts_and_stops: [
        Mutant(
            "a worker that is gone is still watched",
            "T45",
            "instance:Instance.stop",
            "await cancel(*self._watching)",
            "pass",
        ),
    ],
    test_faults_dependencies.test_t42_a_slow_dependency_is_waited_for: [
        Mutant(
            "a start that waits for nothing",
            "T42",
            "instance:Instance._enter",
            "await self.worker.before()",
            "pass",
        ),
    ],
    test_faults_dependencies.test_t42_a_dependency_that_fails_is_named: [
        Mutant(
            "a failure without its cause",
            "T42",
            "dependencies:Dependencies._started",
            ": {error.message}",
            "",
        ),
    ],
    test_faults_dependencies.test_t42_at_the_end_what_others_depend_on_is_stopped_after_them: [
        Mutant(
            "all are stopped at once",
            "T42",
            "units:Units.close",
            "close_in_order(self._units.values())",
            "*(unit.close() for unit in self._units.values())",
        ),
    ],
    test_warm.test_t52_a_warm_process_that_is_killed_is_noticed: [
        Mutant(
            "nobody watches a process that is warm",
            "T52",
            "instance:Instance._take",
            "await cancel(self._looking)",
            "await cancel(*self._watching)",
        ),
    ],
    test_warm.test_t52_a_warm_start_that_fails_or_hangs_is_made_in_a_new_process: [
        Mutant(
            "a warm start without a bound",
            "T52",
            "spawned:Spawned.start_warm",
            "self._in_time(lambda: self._alive_until(self._resume()))",
            "self._resume()",
        ),
    ],
    test_warm.test_t52_a_warm_stop_that_hangs_ends_the_process: [
        Mutant(
            "a warm stop without a bound",
            "T52",
            "launcher:Worker.stop_warm",
            "timeout=within",
            "timeout=None",
        ),
    ],
    test_faults_life.test_t46_a_worker_full_of_legitimate_calls_is_never_killed: [
        Mutant(
            "busy is dead",
            "T46",
            "liveness:Liveness._missed",
            "look.busy and look.overdue > OVERDUE",
            "look.busy",
        ),
    ],
    test_faults_life.test_t46_a_handler_that_blocks_the_loop_with_work_is_named_and_not_killed: [
        Mutant(
            "work is no excuse",
            "T46",
            "liveness:Liveness.look",
            "self.misses if at_work else self.misses + 1",
            "self.misses + 1",
        ),
    ],
}

#: What a test with several cases is run with.
ARGUMENTS: dict[str, Any] = {
    "asked": True,
    "end": "os._exit(3)",
    "how": "exit code 3",
    "what": "slow-start",
}


@pytest.mark.parametrize(
    ("test", "mutant"),
    [(test, mutant) for test, mutants in MUTANTS.items() for mutant in mutants],
    ids=[f"{mutant.rows}: {mutant.name}" for mutants in MUTANTS.values() for mutant in mutants],
)
def test_a_planted_bug_is_caught(
    test: Callable[..., Any],
    mutant: Mutant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    known = {"tmp_path": tmp_path, "monkeypatch": monkeypatch, "caplog": caplog, **ARGUMENTS}
    arguments = {name: known[name] for name in inspect.signature(test).parameters}
    with planted(mutant, "hsu_worker.master"):
        fails(test, arguments, within=HANGS.get(mutant.rows))


@pytest.mark.parametrize("test", MUTANTS, ids=lambda test: test.__name__)
def test_with_nothing_planted_it_passes(
    test: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As it is run here: what fails by itself catches nothing."""
    known = {"tmp_path": tmp_path, "monkeypatch": monkeypatch, "caplog": caplog, **ARGUMENTS}
    arguments = {name: known[name] for name in inspect.signature(test).parameters}
    (within,) = {HANGS.get(mutant.rows) for mutant in MUTANTS[test]}
    with pytest.raises(pytest.fail.Exception, match="was not caught"):
        fails(test, arguments, within=within)


def test_a_port_that_two_share_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T34; this one is the worker's, so it is planted in its program."""
    shares = """
from contextlib import nullcontext
import grpc.aio
import hsu_worker.serving.server
hsu_worker.serving.server.reserved = nullcontext
server = grpc.aio.server
def sharing(*, options, **more):
    return server(options=[each for each in options if each[0] != "grpc.so_reuseport"], **more)
grpc.aio.server = sharing
"""
    monkeypatch.setattr(test_faults_starts, "FIXED", shares + test_faults_starts.FIXED)
    test = test_faults_starts.test_t34_of_two_workers_told_the_same_port_the_second_fails_loudly
    fails(test, {"tmp_path": tmp_path})


def test_a_master_that_takes_calls_while_it_leaves_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T43; this one is planted in the master's process."""
    plants = """
import runpy
from tests.master.sim.mutants import MUTANTS, planted
[mutant] = [each for each in MUTANTS if each.name == "a caller that waits for a master that has left"]
with planted(mutant):
    runpy.run_module("hsu_worker", run_name="__main__", alter_sys=True)
"""
    monkeypatch.setattr(shell, "COMMAND", (sys.executable, "-c", plants))
    (tmp_path / "hsu.toml").write_text(text(app(tmp_path, shell.BODY)))
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as runtime:
        terminal = shell.Shell(tmp_path, {"XDG_RUNTIME_DIR": runtime})
        test = test_master_run.test_asked_to_leave_it_lets_calls_finish_and_takes_no_new_ones
        fails(test, {"shell": terminal}, within=HANGS["T43"])


def fails(
    test: Callable[..., Any], arguments: dict[str, Any], *, within: float | None = None
) -> None:
    """Run a test that has to fail.

    Args:
        test: Is given the arguments.

        within: One that waits longer has failed; None: waiting for ever is another failure than
            the one that it has to show.
    """

    bound: list[asyncio.Timeout] = []

    async def run() -> None:
        # What a test that fails leaves behind is not of interest.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with asyncio.timeout(within or BOUND) as timeout:
            bound.append(timeout)
            await test(**arguments)

    try:
        asyncio.run(run())
    except (Exception, pytest.fail.Exception):
        assert within or not bound[0].expired(), "it waits for ever, and should not"
        return
    pytest.fail("the planted bug was not caught", pytrace=False)
