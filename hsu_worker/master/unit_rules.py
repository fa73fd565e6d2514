"""The policy of a unit, as its table says."""

from hsu_worker.master.duration import NEVER
from hsu_worker.master.policy.trouble import Rules
from hsu_worker.master.tables import UnitConfig


def rules_of(unit: UnitConfig) -> Rules:
    """What its policy goes by."""
    return Rules(
        unit=unit.name,
        queue=unit.queue,
        concurrency=unit.concurrency,
        idle=None if unit.pinned or unit.idle == NEVER else unit.idle,
        warm=unit.warm,
        drain=unit.drain,
        restart=unit.restart,
        backoff=unit.backoff,
        backoff_most=unit.backoff_most,
        healthy=unit.healthy,
        breaker=unit.breaker,
        breaker_window=unit.breaker_window,
        breaker_retry=unit.breaker_retry,
    )
