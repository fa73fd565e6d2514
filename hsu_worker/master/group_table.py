"""The tables `[groups.NAME]` of an `hsu.toml`: what several units share."""

from dataclasses import dataclass

from hsu_worker.master import values
from hsu_worker.master.keys import key

MEMORY = "How much memory the workers that are there at the same time may take together"
MIN_RESIDENCY = "A worker that is ready has at least this long before it has to go for another one."
MAX_WAIT = (
    "A start that has waited this long has busy workers go, too: their calls may end, within `drain`, and"
    " new ones wait for their next turn."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """One table `[groups.NAME]`. Times are in seconds."""

    exclusive: bool = key(
        values.flag,
        "Only one worker of the group may be there at a time.",
        value="`true` or `false`",
        default=False,
        live=True,
    )
    memory: int | None = key(
        values.size,
        f"{MEMORY}.",
        value='`"8GB"`',
        otherwise="no bound",
        live=True,
    )
    min_residency: float = key(
        values.duration(),
        MIN_RESIDENCY,
        value="duration",
        default="1s",
        live=True,
    )
    max_wait: float = key(
        values.duration(zero=False),
        MAX_WAIT,
        value="duration",
        default="30s",
        live=True,
    )
