"""For each fault of the keeper's, a planted bug: its test has to fail then."""

import asyncio
import inspect
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hsu_worker.master import keeper as script
from hsu_worker.master.keeper.processes import live_processes, marks
from tests.master import kept, test_keeper, test_keeper_limits, test_keeper_protocol
from tests.master import test_keeper_takeover as takeover


class Mutant(NamedTuple):
    fault: str
    sound: str
    broken: str
    test: Callable[..., Any]
    arguments: dict[str, Any] = {}  # noqa: RUF012
    """Of the test."""


MUTANTS = [
    Mutant(
        "T19: what ignores SIGTERM is not killed",
        "        for unit in self._units.values():\n            unit.killing = True\n",
        "",
        test_keeper.test_nothing_outlives_a_killed_master,
        {"code": kept.STUBBORN, "taken_over": False},
    ),
    Mutant(
        "T20: a group is gone with its leader",
        "        if unit.members(processes):\n            return True\n",
        "",
        test_keeper.test_a_group_is_killed_that_ignored_the_end_of_its_leader,
    ),
    Mutant(
        "T20: a signal only reaches a group with a leader",
        "if self.leads() or members:",
        "if self.leads():",
        test_keeper.test_a_group_is_gone_when_its_last_member_is,
    ),
    Mutant(
        "T21: orphans don't come to the keeper",
        "    become_subreaper()\n    #",
        "    #",
        test_keeper.test_what_left_the_group_does_not_outlive_it,
    ),
    Mutant(
        "T44: what can't be looked at is gone",
        'names = os.listdir("/proc")\n    except FileNotFoundError:',
        'names = os.listdir("/proc")\n    except OSError:',
        test_keeper_limits.test_a_keeper_that_can_not_look_draws_no_conclusion,
    ),
    Mutant(
        "T44: what came with a broken request stays open",
        "                for descriptor in taken:\n                    os.close(descriptor)",
        "                pass",
        test_keeper_limits.test_a_hundred_starts_and_stops_leave_nothing_behind,
    ),
    Mutant(
        "T47: what is stopped, or in native code, gets more than a second",
        "self._kill_at = time.monotonic() + GRACE",
        "self._kill_at = time.monotonic() + 60",
        test_keeper.test_nothing_outlives_a_killed_master,
        {"code": kept.NATIVE, "taken_over": False},
    ),
    Mutant(
        "T47: what ignores SIGTERM gets more than a second",
        "GRACE = 0.7",
        "GRACE = 1.5",
        test_keeper.test_what_ignores_sigterm_outlives_a_killed_master_by_less_than_a_second,
    ),
    Mutant(
        "T47: a process that the application has forked stands for the master",
        "            if self._parent in ready:",
        "            if False:",
        test_keeper.test_a_process_that_the_application_has_forked_does_not_keep_the_keeper_waiting,
    ),
    Mutant(
        "T21: what cleared its environment is nobody's",
        "OSError):\n                unit.note_descendants(processes)\n",
        "OSError):\n",
        test_keeper.test_what_cleared_its_environment_and_left_the_group_does_not_outlive_it,
    ),
    Mutant(
        "T21: what can't be told to be anybody's is not told",
        "            if line.parent == own\n            and line.pid not in self._strays",
        "            if False\n            and line.pid not in self._strays",
        test_keeper.test_what_nobody_can_tell_to_be_its_own_is_reported_and_ends_with_the_master,
    ),
    Mutant(
        "T47: what left its group is not looked for when the master is gone",
        "        rest = list(self._escaped(live_processes()))",
        "        rest = []",
        test_keeper_protocol.test_what_no_keeper_was_told_of_ends_with_the_master,
    ),
    Mutant(
        "T48: a leader that was taken over seems to live for ever",
        "if not self.inherited or not self.running:",
        "if self.inherited or not self.running:",
        takeover.test_a_signal_reaches_what_was_taken_over,
    ),
    Mutant(
        "T48: what left a group that was taken over is never found",
        "(orphan or unit.inherited)",
        "orphan",
        takeover.test_what_left_the_group_ends_with_what_was_taken_over,
    ),
    Mutant(
        "T48: an unknown exit is a success",
        "                self._let_go(unit)\n                self._report(unit, None, None, 0)",
        "                self._let_go(unit)\n                self._report(unit, 0, None, 0)",
        takeover.test_a_signal_reaches_what_was_taken_over,
    ),
    Mutant(
        "T48: an exit that was missed is a success",
        "        if pid and not exited and not unit.running:\n            self._report(unit, None,",
        "        if pid and not exited and not unit.running:\n            self._report(unit, 0,",
        takeover.test_what_ended_without_any_keeper_is_gone_with_an_unknown_code,
        {"code": kept.STUBBORN},
    ),
    Mutant(
        "T48: the end of what was taken over is not noticed",
        "                self._units.watch()\n",
        "",
        takeover.test_a_signal_reaches_what_was_taken_over,
    ),
    Mutant(
        "T48: a signal is lost with the keeper",
        '        for signum in told["signals"]:\n            self.signal(number, int(signum))\n',
        "",
        takeover.test_a_signal_that_the_dead_keeper_never_sent_is_sent,
        {"number": signal.SIGTERM},
    ),
    Mutant(
        "T48: a pid and a start are enough",
        " and line.start == unit.start and unit.owns(line):",
        " and line.start == unit.start:",
        test_keeper_protocol.test_a_process_without_the_mark_is_not_signalled,
        {"mark": None, "start": "right"},
    ),
    Mutant(
        "T48: a pid and a mark are enough",
        " and line.start == unit.start and unit.owns(line):",
        " and unit.owns(line):",
        test_keeper_protocol.test_a_process_with_another_start_is_not_the_leader,
    ),
    Mutant(
        "T48: a group is the unit's by its number",
        "any(self.owns(line) for line in found)",
        "True",
        test_keeper_protocol.test_a_process_without_the_mark_is_not_signalled,
        {"mark": None, "start": "wrong"},
    ),
    Mutant(
        "T48: a mark may begin like another",
        'own = f"/{self.mark}/"',
        'own = f"/{self.mark}"',
        test_keeper_protocol.test_a_process_of_another_number_is_not_signalled,
    ),
    Mutant(
        "T48: a start without a report leaves an orphan",
        "        self._units[number] = unit\n        self.hurry()\n",
        "        if not pid:\n            return self._send({'event': 'gone', 'id': number})\n"
        "        self._units[number] = unit\n        self.hurry()\n",
        test_keeper_protocol.test_what_a_dead_keeper_was_making_is_ended_before_its_exec_too,
    ),
    Mutant(
        "T48: what was not executed yet is an orphan",
        'own in mark or (keeper and (mark.endswith(keeper) or f"{keeper}t/" in mark))',
        "own in mark",
        test_keeper_protocol.test_what_a_dead_keeper_was_making_is_ended_before_its_exec_too,
    ),
]


@pytest.fixture
def outer_mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Marks all that a test starts; what a broken keeper leaves behind ends with the test."""
    mark = secrets.token_hex(8)
    monkeypatch.setenv(script.MARK, mark)
    yield mark
    for line in live_processes():
        if any(f"/{mark}/" in found for found in marks(line.pid)):
            os.kill(line.pid, signal.SIGKILL)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.fault for mutant in MUTANTS])
@pytest.mark.usefixtures("outer_mark")
def test_a_planted_bug_is_caught(
    mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A sound keeper needs a fifth of it.
    monkeypatch.setattr(kept, "BOUND", 1.0)
    kept.plant(monkeypatch, tmp_path, mutant.sound, mutant.broken)
    # A broken one need not try for long to end what it can't.
    kept.plant(monkeypatch, tmp_path, "GIVE_UP = 3.0", "GIVE_UP = 0.1")
    with pytest.raises((AssertionError, TimeoutError, subprocess.TimeoutExpired)):
        run(mutant)


def run(mutant: Mutant) -> None:
    ran = mutant.test(**mutant.arguments)
    if inspect.iscoroutine(ran):
        asyncio.run(ran)


def test_there_is_a_planted_bug_for_each_fault() -> None:
    faults = {found.group() for mutant in MUTANTS if (found := re.match(r"T\d+", mutant.fault))}
    assert {"T19", "T20", "T21", "T44", "T47", "T48"} == faults
