"""A short run of the attack, and bugs that it notices; `python -m tests.master.chaos` is the long one."""

import random

import pytest

from tests.master.chaos import SETTLED, chaos
from tests.master.sim.mutants import Mutant, planted


def test_nothing_is_lost_or_left_when_everything_is_attacked() -> None:
    report = chaos(random.SystemRandom().randrange(1 << 32), seconds=12)
    assert [] == report.wrong, report.as_json()
    assert report.outcomes["answered"] > 100, report.as_json()


@pytest.mark.parametrize(
    "mutant",
    [
        Mutant(
            "those who wait are forgotten",
            "T40",
            "policy.plan:_ready",
            "granted, waiting = state.waiters[:room], state.waiters[room:]",
            "granted, waiting = state.waiters[: max(1, room - 1)], state.waiters[room:]",
        ),
        Mutant(
            "what nobody expects",
            "T40",
            "unit:Unit.lease",
            "yield self._instances[generation].connection(interface)",
            "yield self._instances[generation].connection(interface)[0]",
        ),
    ],
    ids=lambda mutant: mutant.name,
)
def test_a_planted_bug_is_noticed(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than the attack, and then undisturbed for long enough.
    monkeypatch.setattr("tests.master.chaos.TIMEOUTS", [SETTLED + 4])
    with planted(mutant, "hsu_worker.master"):
        report = chaos(1, seconds=2)
    assert report.wrong, report.as_json()
