"""Planted bugs: what the simulator is worth, one line of the policy at a time.

Each replaces a piece of one function's text. One that no longer applies is an error: the policy has
changed, and so has to be what is planted in it.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from textwrap import dedent
from typing import Any


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug, and the faults that it would let through."""

    name: str
    rows: str
    where: str
    """Module and name of the function, below the package."""
    text: str
    bug: str
    story: str = "anything"


@contextmanager
def planted(mutant: Mutant, package: str = "hsu_worker.master.policy") -> Iterator[None]:
    """The policy, or another package, with a bug."""
    module_name, _, path = mutant.where.partition(":")
    module = import_module(f"{package}.{module_name}")
    owner_path, _, name = path.rpartition(".")
    owner = attrgetter(owner_path)(module) if owner_path else module
    function = getattr(owner, name)
    written: Any = function.fget if isinstance(function, property) else function
    source = dedent(inspect.getsource(written))
    if source.count(mutant.text) != 1:
        raise LookupError(f"{mutant.name!r} applies no more: {mutant.text!r} in {mutant.where}")
    made: dict[str, object] = {}
    exec(source.replace(mutant.text, mutant.bug), vars(module), made)
    parent = import_module(module.__name__.rpartition(".")[0])
    # A package may offer it, too.
    holders = [owner, *([parent] if vars(parent).get(name) is function else [])]
    for holder in holders:
        setattr(holder, name, made[name])
    try:
        yield
    finally:
        for holder in holders:
            setattr(holder, name, function)


MUTANTS = (
    Mutant(
        "a second start",
        "T1",
        "plan:plan",
        "if current is None:",
        "if current is None or (current.phase is Phase.STARTING and state.waiters):",
    ),
    Mutant(
        "one call too many",
        "T1",
        "calls:lent",
        "current.leases >= most",
        "current.leases > most",
    ),
    Mutant(
        "a lost wake-up: the number of those that fit is counted, not their room",
        "T1",
        "plan:_ready",
        "max(0, rules.concurrency - current.leases)",
        "0 if current.leases else rules.concurrency",
    ),
    Mutant(
        "a release of a generation that is being ended counts",
        "T2",
        "note:_release",
        "generation is None or not generation.serves",
        "generation is None",
    ),
    Mutant(
        "a lease that never comes back",
        "T2",
        "calls:given_back",
        "current.leases - 1",
        "max(1, current.leases - 1)",
    ),
    Mutant(
        "a waiter that leaves takes the start with it",
        "T3",
        "note:note",
        "case Leave(waiter):",
        "case Leave(waiter):\n            state, _ = _stop_asked(state, now, hold=False)",
    ),
    Mutant(
        "a deadline is ignored: who has left still waits",
        "T4",
        "note:note",
        "if w != waiter",
        "if waiter",
    ),
    Mutant(
        "a queue without a bound",
        "T5",
        "note:_arrive",
        "len(state.waiters) >= state.rules.queue",
        "len(state.waiters) >= 10**6",
    ),
    Mutant(
        "a queue that is full a caller too early",
        "T5",
        "note:_arrive",
        "len(state.waiters) >= state.rules.queue",
        "len(state.waiters) + 1 >= state.rules.queue",
    ),
    Mutant(
        "who comes during a stop is refused",
        "T6",
        "note:_arrive",
        "if not event.start and (",
        "if (not event.start or state.phase is Phase.STOPPING) and (",
        "idle-edge",
    ),
    Mutant(
        "who comes during a stop is forgotten",
        "T6",
        "plan:_start",
        "not (state.waiters or state.wanted)",
        "not state.wanted",
        "idle-edge",
    ),
    Mutant(
        "an idle time that nothing wakes",
        "T6",
        "calls:given_back",
        "else now + idle",
        "else inf",
        "idle-edge",
    ),
    Mutant(
        "idle time counted from the start, not from the last call",
        "T7",
        "calls:given_back",
        ", quiet_since=now",
        "",
    ),
    Mutant(
        "an idle stop under a call",
        "T7 T8",
        "plan:_ready",
        "current.leases or state.waiters",
        "state.waiters",
    ),
    Mutant(
        "idle time counted from before the start",
        "T9",
        "note:_started",
        "since=now, quiet_since=now",
        "since=now",
    ),
    Mutant(
        "a breaker that never opens",
        "T14",
        "trouble:Trouble.after_failure",
        "self.probing or len(failures) >= rules.breaker",
        "False",
    ),
    Mutant(
        "a backoff that does not grow",
        "T14",
        "trouble:Trouble.after_failure",
        "2 ** min(failed.streak - 2, 64)",
        "1",
    ),
    Mutant(
        "a backoff without a cap",
        "T14",
        "trouble:Trouble.after_failure",
        "min(bound, rules.backoff_most)",
        "bound",
    ),
    Mutant(
        "a backoff without jitter",
        "T14",
        "trouble:Trouble.after_failure",
        "draw * min",
        "min",
    ),
    Mutant(
        "an open breaker that is never tried again",
        "T14",
        "plan:_start",
        "trouble.retry_at != inf",
        "not trouble.open",
    ),
    Mutant(
        "a failed try behind the breaker counts as the first failure",
        "T14",
        "trouble:Trouble.before_start",
        "self.probing or self.open",
        "False",
    ),
    Mutant(
        "callers that wait behind an open breaker",
        "T14",
        "plan:_start",
        "trouble.open and state.waiters",
        "False",
    ),
    Mutant(
        "a crash that is never forgotten",
        "T14",
        "plan:_ready",
        "now >= recovered",
        "False",
    ),
    Mutant(
        "a unit that idles before it has served for long is never healthy",
        "T14",
        "trouble:Trouble.after_service",
        "self.served + seconds",
        "seconds",
        "recovery",
    ),
    Mutant(
        "exit code 0 under calls is no failure",
        "T14",
        "note:_lost",
        "clean and (finishes or not generation.leases)",
        "clean",
    ),
    Mutant(
        "a start that is to be stopped goes on when nobody waits for it any more",
        "T15",
        "plan:plan",
        "if not state.waiters:",
        "if False:",
    ),
    Mutant(
        'restart = "never" that is tried again',
        "T14",
        "trouble:Trouble.after_failure",
        "retry_at=inf",
        "retry_at=now",
    ),
    Mutant(
        "a restart that overrides a stop",
        "T15",
        "note:_stop_asked",
        "wanted=False",
        "wanted=state.wanted",
    ),
    Mutant(
        "a start that was to be stopped is tried again",
        "T15",
        "note:_start_failed",
        " and not stopped",
        "",
    ),
    Mutant(
        "a hold that a call overrides",
        "T15",
        "refusals:standing",
        "if state.held:",
        "if False:",
    ),
    Mutant(
        "a start that was asked for after a stop is forgotten",
        "T15",
        "places:comes",
        "current.stop_asked or ",
        "",
    ),
    Mutant(
        "a crash that takes those with it who wait",
        "T16",
        "note:_lost",
        "wanted=again or state.wanted,",
        "wanted=again or state.wanted, waiters=(),",
    ),
    Mutant(
        "a crash that is not followed by a restart",
        "T16",
        "note:_lost",
        "wanted=again or state.wanted,",
        "wanted=False,",
    ),
    Mutant(
        "calls for a worker that may be dead",
        "T16",
        "calls:lent",
        "current.suspect",
        "False",
    ),
    Mutant(
        "a suspicion that is never dropped",
        "T16",
        "note:note",
        "suspect=False",
        "suspect=True",
    ),
    Mutant(
        "a swap that flips before the new one is ready",
        "T28",
        "swaps:asked",
        "candidate=candidate, last=number",
        "current=candidate, retiring=state.current, last=number",
        "swaps",
    ),
    Mutant(
        "a drain that waits for nobody",
        "T28",
        "plan:plan",
        "not generation.leases or now >= generation.drain_until",
        "True",
        "swaps",
    ),
    Mutant(
        "calls for a worker that drains",
        "T28",
        "calls:lent",
        "current.phase is not Phase.READY",
        "not current.serves",
    ),
    Mutant(
        "a wish that is still one when it has come true",
        "T28",
        "plan:_ready",
        "if state.wanted and not current.suspect:",
        "if False:",
    ),
    Mutant(
        "a swap that lifts a hold",
        "T15 T28",
        "swaps:flipped",
        "if state.held:",
        "if False:",
    ),
    Mutant(
        "a failed swap that takes the old one away",
        "T29",
        "swaps:start_failed",
        "state = places.stopping(state, candidate, effects",
        "if state.current and state.current.serves:\n"
        "        state = places.stopping(state, state.current, effects, 'swap', 'it failed')\n"
        "    state = places.stopping(state, candidate, effects",
    ),
    Mutant(
        "a failed swap that counts as a crash of the unit",
        "T29",
        "note:_start_failed",
        "if generation is state.candidate:",
        "state = _failed(state, 'x', now, event.draw, [], number)\n    if generation is state.candidate:",
    ),
    Mutant(
        "a failed swap of which nobody is told",
        "T29",
        "note:_gone",
        "(ended,)",
        "()",
    ),
    Mutant(
        "a unit that is launched like its last stand-in",
        "T49",
        "swaps:flipped",
        "state.spec if ready.stand_in else ready.spec",
        "ready.spec",
    ),
    Mutant(
        "a second stand-in in the first one's place",
        "T49",
        "swaps:asked",
        "current.stand_in and current.phase is Phase.READY",
        "False",
    ),
    Mutant(
        "a stand-in for a unit that is held",
        "T49",
        "swaps:asked",
        "stand_in and state.held",
        "False",
    ),
    Mutant(
        "the end of a stand-in that counts as a crash of the unit",
        "T49",
        "note:_lost",
        "if generation.stand_in:",
        "if False:",
    ),
    Mutant(
        "a stand-in that is stopped for being idle",
        "T49",
        "plan:_ready",
        "current.stand_in or ",
        "",
    ),
    Mutant(
        "a stand-in that leaves, and takes the calls with it that wait",
        "T49",
        "stand_ins:_given_back",
        "wanted=state.wanted",
        "waiters=(), wanted=state.wanted",
    ),
    Mutant(
        "a start while the place is kept",
        "T49",
        "plan:_start",
        "now < state.kept_until",
        "False",
    ),
    Mutant(
        "a place that is kept for ever",
        "T49",
        "plan:_start",
        "wake.append(state.kept_until)",
        "pass",
    ),
    Mutant(
        "a place that is still kept after a stop",
        "T49",
        "note:_stop_asked",
        "kept_until=None",
        "kept_until=state.kept_until",
    ),
    Mutant(
        "a place that is kept for one that is back",
        "T49",
        "swaps:flipped",
        "kept_until=None,",
        "",
    ),
    Mutant(
        "a drain without an end",
        "T30",
        "plan:plan",
        "not generation.leases or now >= generation.drain_until",
        "not generation.leases",
    ),
    Mutant(
        "a drain that begins anew with each look",
        "T30",
        "plan:plan",
        "wake.append(generation.drain_until)",
        "wake.append(now + state.rules.drain)",
    ),
    Mutant(
        "the clock on the wall",
        "T39",
        "plan:plan",
        "wake: list[float] = []",
        "wake, now = [], __import__('time').time()",
    ),
    Mutant(
        "a number that comes back",
        "T40",
        "plan:_start",
        "number = state.last + 1",
        "number = max(state.last, 1)",
    ),
    Mutant(
        "a reload that leaves the old way to launch",
        "T41",
        "reloads:reconfigured",
        "state = evolve(state, spec=event.spec, trouble=Trouble())",
        "state = evolve(state, trouble=Trouble())",
    ),
    Mutant(
        "a reload that gives up a start, and forgets who wanted it",
        "T41",
        "reloads:reconfigured",
        "state = evolve(state, wanted=wanted, cause=(_TRIGGER, _WHY))",
        "state = evolve(state, waiters=())",
    ),
    Mutant(
        "a reload that lets a swap to the old file's implementation go on",
        "T41",
        "reloads:reconfigured",
        "candidate.phase is Phase.STARTING and not candidate.stand_in",
        "False",
    ),
    Mutant(
        "a caller that waits for a master that has left",
        "T40",
        "refusals:standing",
        "if state.closed:",
        "if False:",
    ),
    Mutant(
        "a grant that is lost when a stop was asked for during the start",
        "T40",
        "plan:_ready",
        "effects.append(Grant(granted, current.number))",
        "current.stop_asked or effects.append(Grant(granted, current.number))",
    ),
    Mutant(
        "a swap that goes on after a stop",
        "T40",
        "note:_stop_asked",
        "candidate is not None and candidate.phase is Phase.STARTING",
        "False",
    ),
    Mutant(
        "a worker that is ended twice",
        "T40",
        "note:_lost",
        "generation is None or not generation.serves",
        "generation is None",
    ),
    Mutant(
        "a warm process that stays for ever",
        "T52",
        "warm:plan",
        "wake.append(since + warm)",
        "pass",
        "warm-edge",
    ),
    Mutant(
        "a warm process that ends too early",
        "T52",
        "warm:plan",
        "now >= since + warm",
        "True",
        "warm-edge",
    ),
    Mutant(
        "who comes to a warm worker is forgotten",
        "T52",
        "warm:plan",
        "state.waiters or state.wanted",
        "state.wanted",
        "warm-edge",
    ),
    Mutant(
        "a warm start before the warm stop has ended",
        "T52",
        "warm:plan",
        "if since is None:",
        "if since is None and not state.waiters:",
        "warm-edge",
    ),
    Mutant(
        "a warm start that fails, and takes those with it who wait",
        "T52",
        "warm:failed",
        "wanted=wanted,",
        "wanted=wanted, waiters=(),",
    ),
    Mutant(
        "a warm start that fails, and is forgotten",
        "T52",
        "warm:failed",
        "wanted=wanted,",
        "",
        "warm-trouble",
    ),
    Mutant(
        "the end of a warm process that nobody notices",
        "T52",
        "note:_lost",
        "if generation is not None and warm.is_warm(generation):",
        "if generation is not None and generation.phase is Phase.WARM:",
    ),
    Mutant(
        "a warm start that hangs, and nobody gives up",
        "T52",
        "note:note",
        "failed.number != number or not warm.is_warm(failed)",
        "failed.phase is not Phase.WARM",
    ),
    Mutant(
        "a warm stop of a worker that may be dead",
        "T52",
        "warm:stops",
        "current.suspect or replaced",
        "replaced",
    ),
    Mutant(
        "a worker of the old file that comes back",
        "T52",
        "warm:stops",
        " or current.spec != state.spec",
        "",
    ),
    Mutant(
        "a reload that leaves a warm process as it was",
        "T52",
        "reloads:reconfigured",
        "(Phase.DRAINING, Phase.STOPPING)",
        "(Phase.DRAINING, Phase.STOPPING, Phase.WARM)",
    ),
    Mutant(
        "a warm process that outlives a stop",
        "T52",
        "note:_stop_asked",
        "if current.phase is Phase.WARM:",
        "if False:",
    ),
    Mutant(
        "a warm process that outlives a swap",
        "T52",
        "swaps:flipped",
        "old.phase is not Phase.STOPPING",
        "old.phase is Phase.STARTING",
    ),
    Mutant(
        "an idle stop of what others need",
        "T42",
        "plan:_ready",
        " or state.needed",
        "",
    ),
    Mutant(
        "idle time counted from before what needed it ended",
        "T42",
        "dependencies:needed",
        "quiet_since=now",
        "",
    ),
    Mutant(
        "a start for another unit that lifts a hold",
        "T42",
        "dependencies:start_needed",
        "refusals.standing(state, now) is not None or places.comes(state)",
        "places.comes(state)",
    ),
    Mutant(
        "a start for another unit that nobody makes",
        "T42",
        "dependencies:start_needed",
        "wanted=True",
        "wanted=state.wanted",
    ),
    Mutant(
        "one goes for another unit's sake under its calls",
        "T32",
        "evictions:evicted",
        "if not (current.leases or state.waiters or state.needed):",
        "if not (state.waiters or state.needed):",
    ),
    Mutant(
        "one goes for another unit's sake that others need",
        "T32",
        "evictions:evicted",
        "if not (current.leases or state.waiters or state.needed):",
        "if not (current.leases or state.waiters):",
    ),
    Mutant(
        "one that starts goes for another unit's sake",
        "T32",
        "evictions:evicted",
        "if not (warm or current.phase is Phase.READY):",
        "if False:",
    ),
    Mutant(
        "one that is used never goes for another unit's sake",
        "T32",
        "evictions:evicted",
        "if event.drain and not warm:",
        "if False:",
    ),
)
