"""Planted bugs: what the tests of replicas are worth."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.master import test_replicas as replicas
from tests.master import test_replicas_at_random as at_random
from tests.master import test_replicas_processes as processes
from tests.master.sim import mutants
from tests.master.test_faults_mutants import fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One bug in the master, and the test that has to notice it."""

    bug: str
    where: str
    sound: str
    broken: str
    test: Callable[..., Any]


def at_each_step() -> None:
    for step in range(14):
        at_random.test_who_comes_in_the_instant_of_a_grant_waits_for_the_next(step)


MUTANTS = (
    Mutant(
        bug="a start while there is room",
        where="policy.replicas:choose",
        sound="max(0, -(-short // most))",
        broken="len(able)",
        test=replicas.test_nothing_is_started_while_there_is_room,
    ),
    Mutant(
        bug="what is on its way is not counted",
        where="policy.replicas:choose",
        sound=" - sum(each.coming for each in replicas)",
        broken="",
        test=replicas.test_after_a_failure_only_the_one_that_failed_is_tried_until_it_serves,
    ),
    Mutant(
        bug="a broken program is started once per replica",
        where="policy.replicas:choose",
        sound=" and each.troubled == troubled",
        broken="",
        test=replicas.test_after_a_failure_only_the_one_that_failed_is_tried_until_it_serves,
    ),
    Mutant(
        bug="a new process while a warm one is there",
        where="policy.replicas:choose",
        sound="sorted(able)",
        broken="sorted(able, reverse=True)",
        test=replicas.test_a_warm_one_is_woken_before_another_one_is_started,
    ),
    Mutant(
        bug="the first one has all calls",
        where="policy.replicas:least_loaded",
        sound="replicas[number].leases",
        broken="number",
        test=replicas.test_each_call_goes_to_the_worker_that_has_the_fewest,
    ),
    Mutant(
        bug="whoever waits for nothing waits on",
        where="replicas:Replicas._plan",
        sound="if choice.lost:",
        broken="if False:",
        test=replicas.test_who_waits_for_what_is_never_started_again_is_told,
    ),
    Mutant(
        bug="whoever came last goes first",
        where="callers:Callers.send",
        sound="popleft",
        broken="pop",
        test=replicas.test_four_callers_run_two_at_a_time,
    ),
    Mutant(
        bug="a promise that is never taken back",
        where="callers:Callers.wait",
        sound="self.promised[granted.result()] -= 1",
        broken="granted.result()",
        test=replicas.test_a_crash_of_one_loses_no_call_that_waits,
    ),
    Mutant(
        bug="a failed start is told to those whom another one serves",
        where="replicas:Replicas._look",
        sound=" and not serving",
        broken="",
        test=replicas.test_a_start_that_fails_is_told_to_all_who_wait_unless_another_one_serves,
    ),
    Mutant(
        bug="two workers of one generation",
        where="replicas:Replicas._look",
        sound="other.tell(policy.Numbered(self._last))",
        broken="pass",
        test=replicas.test_log_and_history_are_one_with_numbers_over_all,
    ),
    Mutant(
        bug="a stop that forgets those who wait",
        where="replicas:Replicas.stop",
        sound="hold or all(unit.state.current is None for unit in self._units)",
        broken="False",
        test=replicas.test_a_stop_during_a_crash_loop_is_the_end_of_it,
    ),
    Mutant(
        bug="a hold that holds nobody",
        where="replicas:Replicas.stop",
        sound="hold=hold",
        broken="hold=False",
        test=replicas.test_what_is_held_starts_nothing_and_a_start_ends_it,
    ),
    Mutant(
        bug="a swap of the first alone",
        where="replicas:Replicas.swap",
        sound="enumerate(self._further, 1)",
        broken="enumerate((), 1)",
        test=replicas.test_swaps_of_all_under_load_lose_no_call,
    ),
    Mutant(
        bug="what starts after a swap is what was there before it",
        where="replicas:Replicas._launch_as_the_first",
        sound="unit.launch != self.launch",
        broken="False",
        test=replicas.test_a_second_swap_is_refused_and_one_without_a_worker_follows_the_first,
    ),
    Mutant(
        bug="a reload that replaces all at once",
        where="replicas:Replicas._replace_next",
        sound=" and not self._replacing",
        broken="",
        test=replicas.test_a_reload_replaces_one_after_the_other_and_each_serves_until_then,
    ),
    Mutant(
        bug="a reload of the first alone",
        where="replicas:Replicas._look",
        sound="if self._behind:",
        broken="if False:",
        test=replicas.test_a_reload_that_fails_is_tried_once_for_each_and_all_serve_on,
    ),
    Mutant(
        bug="room that was promised is given away",
        where="policy.replicas:seen",
        sound="+ promised",
        broken="",
        test=at_each_step,
    ),
    Mutant(
        bug="one worker alone",
        where="replicas:Replicas._plan",
        sound="choice.starts:",
        broken="choice.starts[:1] if not self.worker else ():",
        test=processes.test_t53_four_callers_run_two_at_a_time_in_the_order_in_which_they_came,
    ),
    Mutant(
        bug="further workers that never end",
        where="replicas:Replicas._shorten",
        sound="idle=None if idle == NEVER else idle",
        broken="idle=None",
        test=processes.test_t53_a_further_worker_ends_when_it_had_nothing_to_do,
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.bug for mutant in MUTANTS])
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    each = mutants.Mutant(mutant.bug, "T53", mutant.where, mutant.sound, mutant.broken)
    with mutants.planted(each, "hsu_worker.master"):
        if mutant.test.__module__ == processes.__name__:
            with tempfile.TemporaryDirectory(prefix="hsu-t-") as folder:
                fails(mutant.test, {"tmp_path": Path(folder)}, within=8.0)
        else:
            with pytest.raises((AssertionError, TimeoutError, ValueError, pytest.fail.Exception)):
                mutant.test()
