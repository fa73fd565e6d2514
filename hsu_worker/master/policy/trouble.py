"""Whether and when a unit that failed is started again: restart policy, backoff, breaker."""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf


class Restart(StrEnum):
    """What follows when a worker ends by itself."""

    ON_DEMAND = "on-demand"
    """The next call starts it."""
    ON_FAILURE = "on-failure"
    """It is started at once, unless it left in order."""
    ALWAYS = "always"
    """It is started at once."""
    NEVER = "never"
    """After a failure calls are refused until somebody starts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The policy of one unit, as its table in `hsu.toml` gives it. Times are in seconds."""

    unit: str
    queue: int = 1000
    """Callers that may wait at the same time."""
    concurrency: int | None = None
    """Leases at the same time; None: no bound."""
    idle: float | None = 300.0
    """Without a lease for this long the unit stops; None: never."""
    warm: float | None = None
    """After `idle` its process stays without its lifespans for this long; None: it ends at once."""
    drain: float = 30.0
    """What leases are given when the unit is told to stop."""
    restart: Restart = Restart.ON_DEMAND
    backoff: float = 0.5
    """The bound of the second delay; each further one is twice as long."""
    backoff_most: float = 30.0
    healthy: float = 60.0
    """After serving for this long, in all, what went before is forgotten."""
    breaker: int = 5
    """This many failures within `breaker_window` open the breaker."""
    breaker_window: float = 60.0
    breaker_retry: float = 30.0
    """An open breaker lets one start through after this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong lately, and what it means for the next start."""

    failures: tuple[float, ...] = ()
    """When, within the breaker's window."""
    streak: int = 0
    """Failures since the unit last served for a while."""
    served: float = 0.0
    """Seconds for which generations served since the last failure that were then stopped in order."""
    reason: str = ""
    """The last one."""
    retry_at: float | None = None
    """No start before this."""
    open: bool = False
    """The breaker: calls are refused until `retry_at`."""
    probing: bool = False
    """The next failure opens the breaker at once."""

    def after_failure(self, rules: Rules, reason: str, now: float, draw: float) -> "Trouble":
        """What one more failure makes of it.

        Full jitter: the delay is anything from 0 to a bound that doubles. The first failure of a
        unit that served has no delay.
        """
        recent = (at for at in self.failures if now - at < rules.breaker_window)
        failures = (*recent, now)
        failed = replace(self, failures=failures, streak=self.streak + 1, served=0.0, reason=reason)
        if rules.restart is Restart.NEVER:
            return replace(failed, open=True, retry_at=inf)
        if self.probing or len(failures) >= rules.breaker:
            return replace(failed, open=True, probing=False, retry_at=now + rules.breaker_retry)
        # The exponent is bounded, for the sake of the float.
        bound = rules.backoff * 2 ** min(failed.streak - 2, 64) if failed.streak > 1 else 0.0
        return replace(failed, retry_at=now + draw * min(bound, rules.backoff_most))

    def after_service(self, rules: Rules, seconds: float) -> "Trouble":
        """What so many seconds of a generation that was stopped in order make of it.

        They add up: a unit that is stopped for idleness again and again is healthy, too.
        """
        if not self.streak:
            return self
        served = self.served + seconds
        return Trouble() if served >= rules.healthy else replace(self, served=served)

    def blocks(self, now: float) -> bool:
        """Nothing may be started yet."""
        return self.retry_at is not None and now < self.retry_at

    def before_start(self) -> "Trouble":
        """The wait is over; a start behind an open breaker is its probe."""
        return replace(self, open=False, probing=self.probing or self.open, retry_at=None)
