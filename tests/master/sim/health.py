"""What the books know of a unit's failures: restart policy, backoff and breaker, written once more.

Nothing here is shared with the policy: a bug would have to be made twice.
"""

from dataclasses import dataclass, field
from math import inf

from hsu_worker.master.policy import Restart, Rules


@dataclass
class Health:
    """Failures so far, and what has to follow from them."""

    rules: Rules
    failures: list[float] = field(default_factory=list)
    streak: int = 0
    retry_at: float | None = None
    open: bool = False
    probing: bool = False
    served: float = 0.0
    """In order, since the last failure, by generations that are no more."""

    def serve(self, seconds: float) -> None:
        """A generation has served, and is stopped in order."""
        self.served += seconds
        if self.served >= self.rules.healthy:
            self.forget()

    def healthy_at(self, ready: float) -> float:
        """When what went wrong is forgotten, if the one that is ready since then goes on."""
        return ready + self.rules.healthy - self.served

    def fail(self, now: float, draw: float) -> None:
        rules = self.rules
        self.streak += 1
        self.served = 0.0
        self.failures = [at for at in self.failures if now - at < rules.breaker_window] + [now]
        if rules.restart is Restart.NEVER:
            self.open, self.retry_at = True, inf
        elif self.probing or len(self.failures) >= rules.breaker:
            self.open, self.probing, self.retry_at = True, False, now + rules.breaker_retry
        else:
            delay = 0.0 if self.streak == 1 else rules.backoff
            for _ in range(self.streak - 2):
                delay = min(2 * delay, rules.backoff_most)
            self.retry_at = now + draw * min(delay, rules.backoff_most)

    def forget(self) -> None:
        self.failures, self.streak, self.served = [], 0, 0.0
        self.retry_at, self.open, self.probing = None, False, False

    def stop(self) -> None:
        """Somebody stopped the unit: no wait is left, but what `never` forbids."""
        if self.retry_at != inf:
            self.retry_at, self.open = None, False

    def pass_time(self, now: float) -> None:
        """Without a worker: the wait may be over."""
        if self.retry_at is not None and now >= self.retry_at:
            self.probing = self.probing or self.open
            self.retry_at, self.open = None, False

    def blocks(self, now: float) -> bool:
        return self.retry_at is not None and now < self.retry_at
