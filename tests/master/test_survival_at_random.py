"""Masters that are killed at any step, one after the other, and workers that outlive them: what holds.

A seed that fails is replayed by the command that the failure names.
"""

from contextlib import ExitStack

import pytest

from tests.master.sim.books import Broken
from tests.master.sim.machine import Machine
from tests.master.sim.mutants import Mutant, planted
from tests.master.sim.survival_mutants import MUTANTS

BLOCK = 40

#: Seeds in which a planted bug has to show itself.
BOUND = 400


def play(seed: int) -> Machine:
    machine = Machine(seed)
    try:
        machine.run()
    except Broken as broken:
        command = f"python -m tests.master.sim --story survival --seed {seed} --trace"
        pytest.fail(f"seed {seed}: {broken}\nreplay it with: {command}")
    return machine


@pytest.mark.parametrize("first", range(0, 2 * BLOCK, BLOCK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    machines = [play(seed) for seed in range(first, first + BLOCK)]
    assert sum(machine.kills for machine in machines) > BLOCK / 2
    assert sum(machine.promises.adopted for machine in machines) > BLOCK / 20
    assert sum(machine.promises.upheld for machine in machines) > BLOCK / 20
    assert sum(machine.promises.read_on for machine in machines) > BLOCK / 20


def test_the_same_seed_is_the_same_run() -> None:
    for seed in range(3):
        first, second = Machine(seed, trace=True), Machine(seed, trace=True)
        first.run()
        second.run()
        assert first.trace == second.trace
        assert first.trace


def first_broken() -> int | None:
    for seed in range(BOUND):
        try:
            Machine(seed).run()
        except Broken:
            return seed
    return None


@pytest.mark.parametrize("bug", MUTANTS, ids=[bug[0].name for bug in MUTANTS])
def test_a_planted_bug_is_found(bug: tuple[Mutant, ...]) -> None:
    with ExitStack() as stack:
        for mutant in bug:
            stack.enter_context(planted(mutant, "hsu_worker.master"))
        assert first_broken() is not None
