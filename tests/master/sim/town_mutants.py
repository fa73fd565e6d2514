"""Planted bugs of what is decided about residency, and of how a unit lets a worker go."""

from tests.master.sim.mutants import Mutant

#: Below `hsu_worker.master`.
MUTANTS = (
    Mutant(
        "an exclusive group that takes two",
        "T31",
        "residency.room:Room._fits",
        "if pool.exclusive and others:",
        "if pool.exclusive and len(others) > 1:",
    ),
    Mutant(
        "the place is free before its worker is gone",
        "T31",
        "residency.plan:Plan._served",
        "if not self._future.lacks(claim) and not self._present.lacks(claim):",
        "if not self._future.lacks(claim):",
    ),
    Mutant(
        "memory is given twice in one decision",
        "T31",
        "residency.plan:Plan._served",
        "self._present.add(claim)",
        "self._present.lacks(claim)",
    ),
    Mutant(
        "who came later overtakes for ever",
        "T31",
        "residency.plan:Plan._served",
        "if not self._future.lacks(claim) and not self._present.lacks(claim):",
        "if not self._present.lacks(claim):",
        "crowded",
    ),
    Mutant(
        "no minimum residency",
        "T31",
        "residency.plan:Plan._evict",
        "if self._now < stays and not own:",
        "if False:",
    ),
    Mutant(
        "the policy waits for the one that it has chosen, and no call of its can change that",
        "T32",
        "policy.evictions:evicted",
        "if not (current.leases or state.waiters or state.needed):",
        "if True:",
        "crowded",
    ),
    Mutant(
        "a busy one never has to go",
        "T32",
        "residency.plan:Plan._evict",
        "victim.idle or own or self._now >= overdue",
        "victim.idle or own",
        "crowded",
    ),
    Mutant(
        "a busy one has to go at once",
        "T32",
        "residency.plan:Plan._evict",
        "victim.idle or own or self._now >= overdue",
        "True",
        "crowded",
    ),
    Mutant(
        "a start that ran out of memory is tried again for ever",
        "T33",
        "residency.decide:_ran_short",
        "if tenant.unit in state.short or not others:",
        "if not others:",
        "hungry",
    ),
    Mutant(
        "the others stay while it is tried again",
        "T33",
        "residency.room:Room._fits",
        "if claim.alone and not all(each.pinned for each in others.values()):",
        "if False:",
        "hungry",
    ),
    Mutant(
        "others come in while it is tried again",
        "T33",
        "residency.room:Room._fits",
        "if self._alone.get(pool.name, 0):",
        "if False:",
        "hungry",
    ),
    Mutant(
        "those who waited for it are refused at the first try",
        "T33",
        "policy.evictions:tried_again",
        'state = evolve(state, wanted=True, cause=("memory", why))',
        'state = evolve(state, waiters=(), cause=("memory", why))',
        "hungry",
    ),
)
