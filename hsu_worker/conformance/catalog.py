"""All checks, in the order of a worker's life."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from hsu_worker.conformance.check import Check
from hsu_worker.conformance.checks import (
    admission,
    announcement,
    calling,
    environment,
    health,
    identity,
    leaks,
    leaving,
    lifeline,
    logs,
    pings,
    starting,
    stopping,
    unlaunched,
)
from hsu_worker.errors import ConfigError

_PARTS: Final = (
    environment,
    announcement,
    admission,
    identity,
    starting,
    stopping,
    pings,
    health,
    calling,
    logs,
    leaving,
    lifeline,
    leaks,
    unlaunched,
)

#: By their ids.
CHECKS: Final[dict[str, Check]] = {
    each.id: each for part in _PARTS for each in vars(part).values() if isinstance(each, Check)
}

#: Requirements that no check proves, and why.
UNPROVEN: Final = {
    "E1": "what a worker does that nobody has launched is its own affair",
    "N1": "when it calls others, and for whom, only its own code knows",
    "T5": "over a socket the time that a comparison takes can't be told from chance",
}


def chosen(only: Iterable[str] = (), skip: Iterable[str] = ()) -> list[Check]:
    """Some of the checks, in their order.

    Args:
        only: The ids of those; none: all.

        skip: The ids of those that are left out.

    Raises:
        ConfigError: There is no such check; the message has the nearest one.
    """
    wanted, unwanted = list(only), list(skip)
    unknown = [name for name in (*wanted, *unwanted) if name not in CHECKS]
    if unknown:
        raise ConfigError("\n".join(map(_unknown, unknown)))
    return [
        each
        for each in CHECKS.values()
        if each.id not in unwanted and (not wanted or each.id in wanted)
    ]


def table() -> str:
    """The checks as a Markdown table, for the documentation."""
    lines = ["| check | level | proves | what holds |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{each.id}` | {each.level} | {', '.join(f'`{name}`' for name in each.proves)} "
        f"| {each.claim} |"
        for each in CHECKS.values()
    ]
    lines += ["", "| not proven | why |", "| --- | --- |"]
    lines += [f"| `{name}` | {why} |" for name, why in UNPROVEN.items()]
    return "\n".join(lines) + "\n"


def _unknown(name: str) -> str:
    near = get_close_matches(name, CHECKS, n=1)
    cure = f"did you mean {near[0]!r}?" if near else "`hsu-worker check --list` shows them"
    return f"there is no check {name!r}; {cure}"
