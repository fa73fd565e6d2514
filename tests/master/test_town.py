"""Several units that share groups and memory, under a virtual clock: ten thousand seeds, and what they
would find.
"""

import pytest

from tests.master.sim.books import Broken
from tests.master.sim.mutants import Mutant, planted
from tests.master.sim.town import Town
from tests.master.sim.town_mutants import MUTANTS

BLOCK = 500

#: Seeds in which a planted bug has to show itself.
BOUND = 200


def play(seed: int, story: str = "anything") -> Town:
    town = Town(seed, story)
    try:
        town.run()
    except Broken as broken:
        pytest.fail(f"seed {seed} of {story!r}: {broken}")
    return town


@pytest.mark.parametrize("first", range(0, 20 * BLOCK, BLOCK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + BLOCK):
        play(seed)


def test_nobody_starves_where_all_units_are_called_without_a_pause() -> None:
    towns = [play(seed, "crowded") for seed in range(60)]
    assert sum(town.drained for town in towns) > 500


def test_a_start_that_runs_out_of_memory_is_tried_once_more_alone() -> None:
    towns = [play(seed, "hungry") for seed in range(500)]
    assert sum(town.retried for town in towns) > 100


def test_the_same_seed_is_the_same_run() -> None:
    for seed in range(3):
        first, second = Town(seed, trace=True), Town(seed, trace=True)
        first.run()
        second.run()
        assert first.trace is not None
        assert first.trace == second.trace
        assert len(first.trace) > 10


def first_broken(story: str) -> int | None:
    for seed in range(BOUND):
        try:
            Town(seed, story).run()
        except (Broken, LookupError):
            # What is kept in order finds nothing when it is not.
            return seed
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    with planted(mutant, "hsu_worker.master"):
        assert first_broken(mutant.story) is not None
