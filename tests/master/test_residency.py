"""Who may start, who has to go, and what is told of it, step by step."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hsu_worker.master import residency
from hsu_worker.master.residency import (
    Admit,
    Ask,
    Configured,
    Effect,
    Event,
    Evict,
    Ledger,
    Left,
    Look,
    Member,
    Pool,
    RanShort,
    Ready,
    Refuse,
    Retry,
    Rules,
    Tell,
    Tenant,
    Use,
    Wake,
    Weighed,
)

MB = 10**6
A, B, C, D = (Tenant(name, 1) for name in "abcd")
IDLE = Use(ready=True, last=0.0)
BUSY = Use(ready=True, busy=True)


class Table:
    """Units at a table, and what each of them says."""

    def __init__(self, *pools: Pool, **members: Member) -> None:
        self.now = 100.0
        self.state = residency.State()
        self.says: dict[Tenant, Use] = {}
        self.feed(Configured(Rules(pools={each.name: each for each in pools}, members=members)))

    def feed(self, event: Event) -> Sequence[Effect]:
        # Any of them may say something else by now.
        ledger = Ledger(lambda tenant: self.says.get(tenant, Use()))
        self.state, effects = residency.decide(self.state, event, ledger, self.now)
        return list(effects)

    def sit(self, *tenants: Tenant, **says: Any) -> None:
        """Let them in, and be ready."""
        for tenant in tenants:
            assert [Admit(tenant)] == self.feed(Ask(tenant))
            self.feed(Ready(tenant))
            self.says[tenant] = Use(ready=True, **says)

    def depend(self, **needs: str) -> None:
        """Have units depend on those of these letters."""
        known = {name: frozenset(each) for name, each in needs.items()}
        self.feed(Configured(replace(self.state.rules, needs=known)))

    def evicted(self, event: Event) -> list[tuple[Tenant, bool]]:
        """Who has to go, and whether after its calls."""
        told = self.feed(event)
        return [(each.tenant, each.drain) for each in told if isinstance(each, Evict)]

    def left(self, tenant: Tenant, peak: int = 0) -> Sequence[Effect]:
        self.says.pop(tenant, None)
        return self.feed(Left(tenant, peak))


def gpu(**facts: Any) -> Table:
    member = Member(pools=("gpu",))
    pool = Pool(name="gpu", exclusive=True, **facts)
    return Table(pool, a=member, b=member, c=member)


def machine(*sizes: int, most: int = 700, **facts: Any) -> Table:
    members = {
        name: Member(pools=("",), memory=size * MB)
        for name, size in zip("abcd", sizes, strict=False)
    }
    return Table(Pool(memory=most * MB, **facts), **members)


def test_who_shares_nothing_may_start_at_once() -> None:
    table = gpu()
    assert [Admit(D)] == table.feed(Ask(D))


def test_who_asks_as_its_unit_is_removed_is_not_let_in() -> None:
    table = gpu()
    table.says[D] = Use(leaving=True)
    assert [] == table.feed(Ask(D))
    table.left(D)
    assert () == table.state.waiting


def test_who_is_there_already_is_let_in_whoever_else_is() -> None:
    table = gpu(min_residency=0.0)
    table.sit(A)
    too_many = "'a' and 'b' are there at once, and group 'gpu' is exclusive"
    assert [Admit(B), Evict(A, too_many)] == table.feed(Ask(B, there=True))
    # The next one waits until both are gone.
    table.says |= {A: Use(leaving=True), B: Use(ready=True)}
    table.feed(Ready(B))
    assert not any(isinstance(each, Admit) for each in table.feed(Ask(C)))
    assert not any(isinstance(each, Admit) for each in table.left(A))


def test_who_was_there_already_goes_as_soon_as_it_may_where_not_all_fit() -> None:
    table = machine(400, 400, min_residency=2.0)
    for tenant in (A, B):
        assert Admit(tenant) in table.feed(Ask(tenant, there=True))
    for tenant in (A, B):
        table.feed(Ready(tenant))
        table.says[tenant] = BUSY
    assert [] == table.feed(Look())
    table.says[B] = IDLE
    assert [Wake(102.0)] == table.feed(Look())
    table.now = 102.0
    told = "800 MB are taken of the machine, which has 700 MB"
    assert [Evict(B, told)] == table.feed(Look())


def test_an_idle_one_goes_and_the_next_comes_when_nothing_is_left_of_it() -> None:
    table = gpu(min_residency=0.0)
    table.sit(A)
    note = "waits for unit 'a' of group 'gpu'"
    assert [Evict(A, "unit 'b' needs group 'gpu'"), Tell(B, note)] == table.feed(Ask(B))
    table.says[A] = Use(leaving=True)
    assert [] == table.feed(Look())
    assert [Admit(B)] == table.left(A)


def test_nobody_goes_before_its_minimum_residency() -> None:
    table = gpu(min_residency=2.0)
    table.sit(A)
    assert Wake(102.0) in table.feed(Ask(B))
    table.now = 102.0
    assert [Evict(A, "unit 'b' needs group 'gpu', and has waited for 2 s")] == table.feed(Look())


def test_a_busy_one_is_drained_when_another_has_waited_for_too_long() -> None:
    table = gpu(min_residency=0.0, max_wait=5.0)
    table.sit(A)
    table.says[A] = BUSY
    # Nothing else would wake it, if the calls of the resident never end.
    assert Wake(105.0) in table.feed(Ask(B))
    table.now = 105.0
    why = "unit 'b' needs group 'gpu', and has waited for 5 s"
    assert [Evict(A, why, drain=True)] == table.feed(Look())


def test_each_busy_one_has_the_max_wait_of_the_pool_that_it_is_in() -> None:
    ram = Pool(name="ram", memory=700 * MB, min_residency=0.0, max_wait=3.0)
    table = Table(
        Pool(name="gpu", exclusive=True, min_residency=0.0, max_wait=8.0),
        ram,
        a=Member(pools=("gpu",)),
        b=Member(pools=("ram",), memory=400 * MB),
        c=Member(pools=("gpu", "ram"), memory=400 * MB),
    )
    table.sit(A, B)
    table.says |= {A: BUSY, B: BUSY}
    assert Wake(103.0) in table.feed(Ask(C))
    table.now = 103.0
    why = "unit 'c' needs 400 MB of group 'ram', and has waited for 3 s"
    assert [Evict(B, why, drain=True), Wake(108.0)] == table.feed(Look())
    table.left(B)
    table.now = 108.0
    assert [(A, True)] == table.evicted(Look())


def test_one_that_starts_never_goes() -> None:
    table = gpu(min_residency=0.0, max_wait=5.0)
    table.feed(Ask(A))
    table.feed(Ask(B))
    table.now = 200.0
    assert not [each for each in table.feed(Look()) if isinstance(each, Evict)]


def test_who_came_first_comes_in_first() -> None:
    table = gpu()
    table.sit(A)
    for tenant in (C, B):
        table.feed(Ask(tenant))
    assert [Admit(C)] == [each for each in table.left(A) if isinstance(each, Admit)]
    assert [Admit(B)] == [each for each in table.left(C) if isinstance(each, Admit)]


def test_who_comes_back_has_its_turn_as_before() -> None:
    table = gpu()
    table.sit(A)
    table.feed(Ask(B))
    table.now += 1.0
    table.feed(Ask(C))
    table.left(B)
    table.feed(Ask(B, since=100.0))
    assert [Admit(B)] == [each for each in table.left(A) if isinstance(each, Admit)]


def test_who_does_not_want_to_start_any_more_waits_no_more() -> None:
    table = gpu()
    table.sit(A)
    table.feed(Ask(B))
    table.feed(Ask(C))
    table.left(B)
    assert [Admit(C)] == table.left(A)


def test_a_victim_that_is_called_in_the_same_moment_stays_and_another_one_goes() -> None:
    table = machine(300, 300, 300, min_residency=0.0)
    table.sit(A, last=1.0)
    table.sit(B, last=2.0)
    why = "unit 'c' needs 300 MB of the machine"
    assert Evict(A, why) in table.feed(Ask(C))
    # Its unit did not let it go.
    table.says[A] = BUSY
    assert [Evict(B, why)] == table.feed(Look())


def test_the_one_that_was_not_used_for_longest_goes_and_no_more_than_needed() -> None:
    table = machine(100, 300, 300, 300, min_residency=0.0)
    table.sit(A, last=1.0)
    table.sit(B, last=2.0)
    table.sit(C, last=3.0)
    note = "waits for memory: it needs 300 MB, and 'a', 'b' and 'c' take 700 MB of 700 MB"
    # To send away the small one too would be of no use.
    assert [Evict(B, "unit 'd' needs 300 MB of the machine"), Tell(D, note)] == table.feed(Ask(D))


def test_nobody_goes_before_all_can_whose_room_is_needed() -> None:
    table = machine(300, 300, 600, min_residency=0.0, max_wait=5.0)
    table.sit(A, B)
    table.says[B] = BUSY
    assert not [each for each in table.feed(Ask(C)) if isinstance(each, Evict)]
    table.now = 105.0
    told = table.feed(Look())
    assert [(A, False), (B, True)] == [
        (each.tenant, each.drain) for each in told if isinstance(each, Evict)
    ]


def test_a_pinned_one_never_goes() -> None:
    member = Member(pools=("",), memory=300 * MB)
    pinned = Member(pools=("",), memory=300 * MB, pinned=True)
    table = Table(Pool(memory=700 * MB, min_residency=0.0), a=pinned, b=member, c=member)
    table.sit(A, last=1.0)
    table.sit(B, last=2.0)
    told = table.feed(Ask(C))
    assert [B] == [each.tenant for each in told if isinstance(each, Evict)]


def test_nobody_puts_out_what_it_depends_on() -> None:
    table = machine(300, 300, 300, min_residency=0.0, max_wait=5.0)
    table.depend(a="b")
    table.sit(B, last=1.0)
    table.sit(C, last=2.0)
    # It is needed, and so it is not idle; the other one has calls.
    table.says |= {B: BUSY, C: BUSY}
    assert [] == table.evicted(Ask(A))
    table.now = 105.0
    assert [(C, True)] == table.evicted(Look())


def test_a_further_replica_of_what_it_depends_on_may_go() -> None:
    table = machine(250, 300, 300, min_residency=0.0)
    table.depend(b="a")
    second = Tenant("a", 2)
    table.sit(A, busy=True, needed=True)
    table.sit(second)
    assert [(second, False)] == table.evicted(Ask(B))
    table.says[second] = Use(leaving=True)
    # The other one stays, whoever comes.
    assert [] == table.evicted(Ask(C))
    assert [Admit(B)] == [each for each in table.left(second) if isinstance(each, Admit)]


def test_who_comes_later_does_not_put_out_what_one_before_it_depends_on() -> None:
    table = machine(300, 300, 300, 300, min_residency=0.0, max_wait=5.0)
    table.depend(a="b", c="d")
    table.sit(B, D)
    table.says |= {B: BUSY, D: BUSY}
    for tenant in (A, C):
        table.feed(Ask(tenant))
    table.now = 105.0
    # Both wait for room; the first one has the first right to it.
    assert [(D, True)] == table.evicted(Look())


def test_one_that_can_not_have_room_keeps_nobody_from_what_it_depends_on() -> None:
    bounds: dict[str, Any] = {"min_residency": 0.0, "max_wait": 5.0}
    table = Table(
        Pool(name="gpu", exclusive=True, **bounds),
        Pool(memory=700 * MB, **bounds),
        a=Member(pools=("",), memory=300 * MB),
        b=Member(pools=("gpu", ""), memory=300 * MB),
        c=Member(pools=("gpu",)),
    )
    table.depend(a="b")
    second = Tenant("a", 2)
    table.sit(B, busy=True, needed=True)
    table.sit(A, busy=True)
    # Its replica serves, and what both depend on is there: nobody would go for it.
    assert [] == table.evicted(Ask(second))
    table.feed(Ask(C))
    table.now = 105.0
    assert [(B, True)] == table.evicted(Look())


def test_what_one_that_starts_depends_on_stays_until_it_is_ready() -> None:
    table = machine(300, 300, 300, min_residency=0.0, max_wait=5.0)
    table.depend(a="b")
    table.sit(B)
    table.says[B] = BUSY
    table.feed(Ask(A))
    table.feed(Ask(C))
    table.now = 105.0
    assert [] == table.evicted(Look())
    table.says[A] = Use(ready=True, busy=True, last=1.0)
    assert [(B, True)] == table.evicted(Ready(A))


def test_one_whose_calls_may_wait_for_the_newcomer_goes_last() -> None:
    table = machine(300, 300, 300, min_residency=0.0, max_wait=5.0)
    table.depend(a="b")
    table.sit(A, C)
    table.says |= {A: Use(ready=True, busy=True, last=1.0), C: Use(ready=True, busy=True, last=2.0)}
    table.feed(Ask(B))
    table.now = 105.0
    assert [(C, True)] == table.evicted(Look())
    # So may one that starts as soon as both are there that it depends on.
    table.depend(d="ab")
    assert [(C, True)] == table.evicted(Look())
    # Without calls it goes as any other does.
    table.says[A] = Use(ready=True, last=1.0)
    assert [(A, False)] == table.evicted(Look())


def test_a_later_one_that_fits_is_not_kept_waiting() -> None:
    table = machine(600, 600, 100)
    table.sit(A)
    table.says[A] = BUSY
    table.feed(Ask(B))
    assert [Admit(C)] == [each for each in table.feed(Ask(C)) if isinstance(each, Admit)]


def test_a_later_one_does_not_take_what_an_earlier_one_waits_for() -> None:
    table = machine(400, 600, 300)
    table.sit(A)
    table.says[A] = BUSY
    table.feed(Ask(B))
    # There would be room for it now, and not beside the one before it.
    assert not [each for each in table.feed(Ask(C)) if isinstance(each, Admit)]


def test_a_later_one_does_not_take_what_has_to_be_freed_of_one_let_in_just_before() -> None:
    table = machine(500, 400, 500, 300)
    table.sit(A)
    table.says[A] = BUSY
    for tenant in (B, C, D):
        table.feed(Ask(tenant))
    told = table.left(A)
    assert [B] == [each.tenant for each in told if isinstance(each, Admit)]
    assert [C, D] == [each.tenant for each in table.state.waiting]


def test_a_swap_has_both_where_both_fit() -> None:
    table = machine(300, 300, min_residency=0.0)
    table.sit(A)
    assert [Admit(Tenant("a", 2))] == table.feed(Ask(Tenant("a", 2)))


def test_a_swap_ends_the_old_one_first_where_only_one_fits() -> None:
    for table in (gpu(), machine(400, 300)):
        table.sit(A)
        new = Tenant("a", 2)
        table.says |= {A: BUSY, new: Use(replaces=A)}
        told = table.feed(Ask(new))
        assert [(A, True)] == [
            (each.tenant, each.drain) for each in told if isinstance(each, Evict)
        ]


def test_replicas_never_put_each_other_out() -> None:
    table = machine(400, 300, min_residency=0.0, max_wait=5.0)
    table.sit(A)
    second = Tenant("a", 2)
    note = "waits for memory: it needs 400 MB, and 'a' takes 400 MB of 700 MB"
    assert [Tell(second, note)] == table.feed(Ask(second))
    table.says[A] = BUSY
    table.now = 200.0
    assert [] == table.feed(Look())
    # It stands in nobody's way meanwhile.
    assert [Admit(B)] == table.feed(Ask(B))
    table.left(B)
    assert [Admit(second)] == table.left(A)


def test_one_of_several_replicas_is_replaced_and_the_others_stay() -> None:
    table = machine(300, min_residency=0.0)
    second, third = Tenant("a", 2), Tenant("a", 3)
    table.sit(A, second)
    table.says |= {second: BUSY, third: Use(replaces=second)}
    told = table.feed(Ask(third))
    assert [second] == [each.tenant for each in told if isinstance(each, Evict)]


def learning(most: int = 700) -> Table:
    member = Member(pools=("",))
    return Table(Pool(memory=most * MB, min_residency=0.0), a=member, b=member, c=member)


def test_what_is_not_declared_is_learned_from_what_runs_and_what_ran() -> None:
    table = learning()
    table.sit(A)
    table.feed(Weighed(A, 400 * MB))
    assert 400 * MB == table.state.memory("a")
    table.left(A, peak=500 * MB)
    assert 500 * MB == table.state.memory("a")
    # A start that failed is no measure of one that doesn't.
    table.feed(Ask(A))
    table.left(A, peak=100 * MB)
    assert 500 * MB == table.state.memory("a")


def test_a_replica_that_ends_small_makes_its_siblings_no_smaller() -> None:
    table = learning()
    second = Tenant("a", 2)
    table.sit(A, second)
    table.feed(Weighed(A, 400 * MB))
    table.left(second, peak=100 * MB)
    assert 400 * MB == table.state.memory("a")
    table.left(A, peak=100 * MB)
    assert 100 * MB == table.state.memory("a")


def test_a_swap_that_its_replicas_leave_no_room_is_refused_after_max_wait() -> None:
    table = learning()
    second, third, new = (Tenant("a", number) for number in (2, 3, 4))
    table.sit(A, second, third)
    table.says |= dict.fromkeys((A, second, third), BUSY)
    table.says[new] = Use(swap=True, replaces=A)
    table.feed(Weighed(A, 250 * MB))
    assert Wake(130.0) in table.feed(Ask(new))
    table.now = 130.0
    why = (
        "unit 'a' needs 250 MB for one more worker, and that is more than the 700 MB of the machine "
        "hold beside the 500 MB of 'a'; raise `memory` in [master], or lower its `replicas`"
    )
    assert [Refuse(new, why)] == table.feed(Look())


def test_a_further_replica_waits_for_as_long_as_the_others_leave_it_no_room() -> None:
    table = learning()
    second = Tenant("a", 2)
    table.sit(A)
    table.says[A] = BUSY
    table.feed(Weighed(A, 400 * MB))
    note = "waits for memory: it needs 400 MB, and 'a' takes 400 MB of 700 MB"
    assert [Tell(second, note)] == table.feed(Ask(second))
    table.now = 10_000.0
    assert [] == table.feed(Look())
    assert [Admit(second)] == table.left(A)


def test_idle_ones_go_when_more_is_taken_than_there_is() -> None:
    table = learning()
    table.sit(A, last=1.0)
    table.sit(B, last=2.0)
    table.feed(Weighed(A, 400 * MB))
    told = "800 MB are taken of the machine, which has 700 MB"
    assert [Evict(A, told)] == table.feed(Weighed(B, 400 * MB))


def test_an_idle_one_goes_though_somebody_waits_for_one_that_is_busy_too() -> None:
    table = gpu(min_residency=0.0, max_wait=5.0)
    table.sit(A, busy=True)
    table.feed(Ask(B, there=True))
    table.feed(Ready(B))
    table.says[B] = BUSY
    assert [] == table.evicted(Ask(C))
    # There are too many without the newcomer.
    table.says[A] = IDLE
    assert [(A, False)] == table.evicted(Look())


def test_what_once_took_more_than_there_is_is_refused() -> None:
    table = learning()
    table.sit(A)
    table.left(A, peak=800 * MB)
    [refused] = table.feed(Ask(A))
    assert isinstance(refused, Refuse)
    assert (
        "unit 'a' took 800 MB when it last ran, and that is more than the 700 MB of the machine hold; "
        "raise `memory` in [master], or write what it truly needs as `memory` in its table"
    ) == refused.why
    assert () == table.state.waiting


def test_what_takes_more_than_those_leave_that_stay_is_refused() -> None:
    table = learning()
    members = {**table.state.rules.members, "c": Member(pools=("",), memory=500 * MB)}
    table.feed(Configured(replace(table.state.rules, members=members)))
    table.depend(c="b")
    table.sit(B)
    table.feed(Weighed(B, 300 * MB))
    [refused] = table.feed(Ask(C))
    assert isinstance(refused, Refuse)
    assert (
        "unit 'c' needs 500 MB, and that is more than the 700 MB of the machine hold beside the 300 MB "
        "of 'b'; raise `memory` in [master], or lower that of 'b' and 'c'"
    ) == refused.why


def test_what_depends_on_units_that_never_fit_together_is_refused() -> None:
    table = learning()
    table.depend(c="ab")
    for tenant in (A, B):
        table.sit(tenant)
        table.feed(Weighed(tenant, 400 * MB))
    # Only one of them is there at a time.
    table.left(A)
    [refused] = table.feed(Ask(C))
    assert isinstance(refused, Refuse)
    assert (
        "unit 'c' has to have 'a' and 'b' beside it, and they take 800 MB, more than the 700 MB of the "
        "machine hold; raise `memory` in [master], or write what they truly need as `memory` in their "
        "tables"
    ) == refused.why


def test_a_start_that_ran_short_is_tried_once_more_when_all_others_are_gone() -> None:
    table = machine(100, 100, 100, min_residency=0.0)
    table.sit(B, C)
    table.feed(Ask(A))
    why = "unit 'a' ran out of memory; it is tried once more without 'b' and 'c'"
    assert [Retry(A, why)] == table.feed(RanShort(A))
    table.left(A)
    again = Tenant("a", 2)
    told = table.feed(Ask(again, alone=True))
    assert {B, C} == {each.tenant for each in told if isinstance(each, Evict)}
    table.left(B)
    assert [Admit(again)] == [each for each in table.left(C) if isinstance(each, Admit)]
    # Nobody comes in beside it before it is ready.
    assert not [each for each in table.feed(Ask(B)) if isinstance(each, Admit)]
    table.says[again] = IDLE
    assert Admit(B) in table.feed(Ready(again))


def test_it_is_tried_once_and_not_when_nobody_can_be_sent_away() -> None:
    table = machine(100, 100)
    table.feed(Ask(A))
    assert [] == table.feed(RanShort(A))
    table.sit(B)
    assert [Retry] == [type(each) for each in table.feed(RanShort(A))]
    table.left(A)
    again = Tenant("a", 2)
    table.feed(Ask(again, alone=True))
    assert [Admit(again)] == table.left(B)
    assert [] == table.feed(RanShort(again))


def test_replicas_that_run_short_at_the_same_time_are_each_tried_once_more() -> None:
    table = machine(100, 100, min_residency=0.0)
    table.sit(B)
    first, second, *again = (Tenant("a", number) for number in (1, 2, 3, 4))
    for tenant in (first, second):
        table.feed(Ask(tenant))
    for tenant in (first, second):
        assert [Retry] == [type(each) for each in table.feed(RanShort(tenant))]
    # One that does well by now says nothing of the other one.
    table.left(first)
    table.feed(Ask(again[0], alone=True))
    assert [Admit(again[0])] == [each for each in table.left(B) if isinstance(each, Admit)]
    table.says[again[0]] = IDLE
    table.feed(Ready(again[0]))
    table.left(second)
    table.sit(B)
    assert [(B, False)] == table.evicted(Ask(again[1], alone=True))


def test_one_that_its_unit_does_not_try_again_has_nobody_sent_away() -> None:
    table = machine(100, 100, min_residency=0.0)
    table.sit(B)
    table.feed(Ask(A))
    assert [] == table.feed(RanShort(A, again=False))
    table.left(A)
    assert [Admit(Tenant("a", 2))] == table.feed(Ask(Tenant("a", 2)))


def test_what_it_depends_on_and_its_replicas_stay_when_it_is_tried_once_more() -> None:
    table = machine(100, 100, 100, min_residency=0.0)
    table.depend(a="b")
    first, second, third = A, Tenant("a", 2), Tenant("a", 3)
    table.sit(first, B)
    table.feed(Ask(second))
    assert [] == table.feed(RanShort(second))
    table.sit(C)
    why = "unit 'a' ran out of memory; it is tried once more without 'c'"
    assert [Retry(second, why)] == table.feed(RanShort(second))
    table.left(second)
    assert [(C, False)] == table.evicted(Ask(third, alone=True))
    assert [Admit(third)] == table.left(C)


def test_who_may_wait_for_one_that_is_tried_once_more_stays() -> None:
    table = machine(100, 100, 100, min_residency=0.0)
    table.depend(b="a", c="a")
    table.sit(B, C)
    table.feed(Ask(A))
    assert [Retry] == [type(each) for each in table.feed(RanShort(A))]
    table.left(A)
    # One of them has a call, or enters its lifespans again.
    table.says |= {B: Use(), C: IDLE}
    again = Tenant("a", 2)
    assert [(C, False)] == table.evicted(Ask(again, alone=True))
    table.says[C] = Use(leaving=True)
    assert [] == table.feed(Look())
    assert [Admit(again)] == table.left(C)


def test_other_rules_hold_at_once() -> None:
    table = machine(300, 300, 300)
    table.sit(A, B)
    table.feed(Ask(C))
    members = table.state.rules.members
    assert Admit(C) in table.feed(
        Configured(Rules(pools={"": Pool(memory=900 * MB)}, members=members))
    )


def test_what_runs_of_a_unit_that_is_no_longer_launched_has_its_room_until_it_has_left() -> None:
    table = gpu()
    pools = {**table.state.rules.pools, "": Pool(memory=700 * MB)}
    members = {name: Member(pools=("gpu", ""), memory=400 * MB) for name in "abc"}
    table.feed(Configured(Rules(pools=pools, members=members)))
    table.sit(A)
    table.says[A] = Use(leaving=True)
    left = {name: member for name, member in members.items() if name != "a"}
    table.feed(Configured(Rules(pools=pools, members=left)))
    assert [Tell(B, "waits for unit 'a' of group 'gpu'")] == table.feed(Ask(B))
    # Its group may go, too, and then it holds no room of it.
    rest = {name: Member(pools=("",), memory=400 * MB) for name in "bc"}
    note = "waits for memory: it needs 400 MB, and 'a' takes 400 MB of 700 MB"
    rules = Rules(pools={"": Pool(memory=700 * MB)}, members=rest)
    assert [Tell(B, note)] == table.feed(Configured(rules))
    assert [Admit(B)] == table.left(A)
    # Nothing is kept of it.
    table.feed(Configured(rules))
    assert rules == table.state.rules


def test_what_runs_of_a_unit_that_shares_no_longer_has_no_room_at_once() -> None:
    table = gpu()
    table.sit(A)
    table.says[A] = BUSY
    table.feed(Ask(B))
    members = {**table.state.rules.members, "a": Member()}
    rules = Rules(pools=table.state.rules.pools, members=members)
    assert [Admit(B)] == table.feed(Configured(rules))


def test_many_units_are_not_all_named() -> None:
    table = machine(100, 300)
    members = {f"u{number}": Member(pools=("",), memory=100 * MB) for number in range(7)}
    rules = Rules(
        pools={"": Pool(memory=700 * MB)}, members={**table.state.rules.members, **members}
    )
    table.feed(Configured(rules))
    table.sit(*[Tenant(name, 1) for name in members])
    note = "waits for memory: it needs 300 MB, and 'u0', 'u1', 'u2', 'u3' and 3 more take 700 MB of 700 MB"
    assert Tell(B, note) in table.feed(Ask(B))
