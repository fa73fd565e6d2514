"""The policy under a virtual clock: ten thousand seeds, and what they would find.

A seed that fails is replayed by the command that the failure names.
"""

import re
from collections import Counter

import pytest

from hsu_worker.master.policy import Effect, SwapEnded, Tell
from tests.master.sim.books import Broken
from tests.master.sim.mutants import MUTANTS, Mutant, planted
from tests.master.sim.stories import STORIES
from tests.master.sim.world import World, replay

BLOCK = 1000

#: Seeds in which a planted bug has to show itself.
BOUND = 3000

#: The faults of which the policy decides the outcome.
ROWS = {*(f"T{n}" for n in (*range(1, 10), 14, 15, 16, 28, 29, 30, 32, 39, 40, 41, 42, 49, 52))}


def play(seed: int, story: str = "anything") -> World:
    world = World(seed, story)
    try:
        world.run()
    except Broken as broken:
        command = f"python -m tests.master.sim --story {story} --seed {seed} --trace"
        pytest.fail(f"seed {seed}: {broken}\nreplay it with: {command}")
    return world


@pytest.mark.parametrize("first", range(0, 10 * BLOCK, BLOCK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + BLOCK):
        play(seed)


def test_no_call_around_the_idle_stop_is_refused() -> None:
    for seed in range(100):
        play(seed, "idle-edge")


def test_no_call_around_a_warm_stop_is_refused() -> None:
    for seed in range(100):
        play(seed, "warm-edge")


def test_no_call_is_lost_to_a_warm_stop_or_start_that_fails() -> None:
    for seed in range(300):
        play(seed, "warm-trouble")


def test_a_unit_that_idles_again_and_again_recovers() -> None:
    for seed in range(100):
        play(seed, "recovery")


def test_no_call_under_swaps_fails() -> None:
    swapped = 0
    for seed in range(20):
        swapped += play(seed, "swaps").swaps
    assert 200 == swapped


def test_no_call_under_stand_ins_that_come_and_leave_fails() -> None:
    stood_in = 0
    for seed in range(20):
        stood_in += play(seed, "stand-ins").swaps
    assert stood_in >= 160


def test_the_same_seed_is_the_same_run() -> None:
    for story in STORIES:
        for seed in (0, 1):
            assert replay(seed, story)[0] == replay(seed, story)[0]
            assert len(replay(seed, story)[0]) > 10


class Counting(World):
    """Counts what happens."""

    seen: Counter[str]

    def _perform(self, effect: Effect) -> None:
        name = type(effect).__name__
        if isinstance(effect, Tell):
            name = f"{name}: {effect.kind}"
        if isinstance(effect, SwapEnded):
            name = f"{name}: {effect.error is None}"
        self.seen[name] += 1
        super()._perform(effect)


def test_everything_happens_in_the_stories() -> None:
    seen: Counter[str] = Counter()
    for seed in range(BLOCK):
        world = Counting(seed)
        world.seen = seen
        world.run()
        seen.update(call.outcome for call in world.calls)
    expected = {
        *("done", "deadline", "cancelled", "crash", "drained", "refused"),
        *("WarmStop", "WarmStart", "Tell: warm"),
        *("Start", "Stop", "Grant", "Refuse", "Probe", "Wake"),
        *("Tell: backoff", "Tell: faulted", "Tell: held", "Tell: swapped", "Tell: swap failed"),
        *("SwapEnded: True", "SwapEnded: False"),
    }
    assert expected == set(seen)
    rare = {name: count for name, count in seen.items() if count < 50}
    assert {} == rare


def first_broken(story: str) -> int | None:
    """The first seed that breaks a promise."""
    for seed in range(BOUND):
        try:
            World(seed, story).run()
        except Broken:
            return seed
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    with planted(mutant):
        assert first_broken(mutant.story) is not None


def test_every_fault_has_a_planted_bug() -> None:
    assert ROWS == {row for mutant in MUTANTS for row in mutant.rows.split()}


def test_a_bug_that_can_no_longer_be_planted_is_an_error() -> None:
    mutant = Mutant("old", "T1", "plan:plan", "what it was", "a bug")
    expected = "'old' applies no more: 'what it was' in plan:plan"
    with pytest.raises(LookupError, match=re.escape(expected)), planted(mutant):
        pass
