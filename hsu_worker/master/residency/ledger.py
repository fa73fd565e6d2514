"""What each resident takes, kept from one decision to the next."""

from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager

from hsu_worker.master.residency.room import Claim, Room, claim_of
from hsu_worker.master.residency.state import Rules, State, Tenant, Use


class Ledger:
    """Asks only those again who have stirred: with a thousand residents, to ask all takes milliseconds.

    It decides nothing: a new one, which asks them all, leads to the same decision.

    Args:
        seen: What the unit of a worker says of it now.
    """

    def __init__(self, seen: Callable[[Tenant], Use]) -> None:
        self.seen = seen
        self.present = Room()
        """With those that are on their way out."""
        self.future = Room()
        """Without them."""
        self._claims: dict[Tenant, Claim] = {}
        self._tenants: defaultdict[str, set[Tenant]] = defaultdict(set)
        self._stirred: set[Tenant] = set()
        self._rules: Rules | None = None
        """By which they take it."""

    def stir(self, unit: str) -> None:
        """Something has happened to its workers."""
        self._stirred.update(self._tenants.get(unit, ()))

    def note(self, tenant: Tenant) -> None:
        """It has come or gone, or what is known of its unit has changed."""
        self._stirred.add(tenant)
        self.stir(tenant.unit)

    @contextmanager
    def opened(self, state: State, *, untold: bool) -> Generator[None]:
        """Both rooms, as they are now; what is done in them is taken back at the end.

        Args:
            state: Who is resident.

            untold: Nobody has told who has stirred since the last time.
        """
        if untold or state.rules is not self._rules:
            self._rules = state.rules
            self.present, self.future = Room(), Room()
            self._claims.clear()
            self._tenants.clear()
            self._stirred = set(state.residents)
        for tenant in self._stirred:
            self._ask(state, tenant)
        self._stirred.clear()
        rooms = self.present, self.future
        for room in rooms:
            room.settle()
        try:
            yield
        finally:
            for room in rooms:
                room.undo()

    def _ask(self, state: State, tenant: Tenant) -> None:
        old = self._claims.pop(tenant, None)
        if old is not None:
            self._tenants[tenant.unit].discard(tenant)
            self.present.remove(old)
            if not _leaving(old):
                self.future.remove(old)
        resident = state.residents.get(tenant)
        if resident is None:
            return
        alone = resident.alone and resident.ready is None
        claim = claim_of(state, tenant, alone=alone, use=self.seen(tenant), ready=resident.ready)
        self._claims[tenant] = claim
        self._tenants[tenant.unit].add(tenant)
        self.present.add(claim)
        if not _leaving(claim):
            self.future.add(claim)


def _leaving(claim: Claim) -> bool:
    return claim.use is not None and claim.use.leaving
