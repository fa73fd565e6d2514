"""Units that share groups and memory, with all that a table may say of them, under a virtual clock: seeds,
and what they would find.

More of them: `python -m tests.master.sim --story town --seeds 10000`.
"""

import pytest

from tests.master.sim.books import Broken
from tests.master.sim.mutants import Mutant, planted
from tests.master.sim.town import STORIES, Town
from tests.master.sim.town_mutants import MUTANTS

#: Seeds in which a planted bug has to show itself.
BOUND = 200


def play(seed: int, story: str) -> Town:
    town = Town(seed, story)
    try:
        town.run()
    except Broken as broken:
        name = "town" if story == "anything" else f"town-{story}"
        command = f"python -m tests.master.sim --story {name} --seed {seed} --trace"
        pytest.fail(f"seed {seed}: {broken}\nreplay it with: {command}")
    return town


@pytest.mark.parametrize("story", [story for story in STORIES if story != "crowded"])
def test_no_seed_breaks_a_promise(story: str) -> None:
    towns = [play(seed, story) for seed in range(40)]
    assert sum(town.outcomes["served"] for town in towns) > 300
    assert sum(town.promises.evictions for town in towns) > 20


def test_nobody_starves_where_all_units_are_called_without_a_pause() -> None:
    towns = [play(seed, "crowded") for seed in range(12)]
    assert sum(town.promises.drained for town in towns) > 100


def test_a_start_that_runs_out_of_memory_is_tried_once_more_alone() -> None:
    towns = [play(seed, "hungry") for seed in range(40, 80)]
    assert sum(town.promises.retried for town in towns) > 20


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
        except (Broken, LookupError, TypeError, ValueError):
            # What is kept in order finds nothing when it is not.
            return seed
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    with planted(mutant, "hsu_worker.master"):
        assert first_broken(mutant.story) is not None
