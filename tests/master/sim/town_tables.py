"""The tables of a town, drawn from a seed: who shares what, who depends on whom, and how it is changed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

from hsu_worker.master.config import Config
from hsu_worker.master.duration import NEVER
from hsu_worker.master.group_table import GroupConfig
from hsu_worker.master.master_table import MasterConfig
from hsu_worker.master.policy import Restart
from hsu_worker.master.sharing import mistakes
from hsu_worker.master.tables import UnitConfig

MB: Final = 10**6

#: Seconds that calls may take to end; none takes as long.
DRAIN: Final = 10.0

#: Seconds that a start may take: longer than it ever does.
START_TIMEOUT: Final = 100.0

#: What a worker takes that its table does not bound.
MOST: Final = 250 * MB

#: What never changes, and keeps a town small.
QUIET: Final[dict[str, Any]] = {
    "app": "m:A",
    "implements": (),
    "drain": DRAIN,
    "backoff_most": 1.0,
    "breaker": 1000,
    "start_timeout": START_TIMEOUT,
}


class Tables:
    """Draws a configuration that a master would take, and others that it may become.

    Args:
        dice: Decide everything.

        story: As a town has it.
    """

    def __init__(self, dice: Random, story: str) -> None:
        self._dice = dice
        self._story = story
        self.learned = story == "growing" or (story == "anything" and dice.random() < 0.3)
        """No table says what a worker takes."""
        self._groups: dict[str, GroupConfig] = {}
        """Those, too, that nobody is in."""

    def draw(self) -> Config:
        """A first one."""
        while True:
            bounds: dict[str, Any] = {
                "min_residency": self._dice.choice((0.0, 0.5, 2.0)),
                "max_wait": self._dice.choice((3.0, 8.0)),
            }
            tight = self._story in ("hungry", "growing", "drowsy", "leaning")
            memory = self._dice.choice((500, 500, 700) if tight else (None, 500, 700))
            master = MasterConfig(memory=memory and memory * MB, **bounds)
            self._groups = {"gpu": GroupConfig(exclusive=True, **bounds)}
            if self._dice.random() < 0.3:
                self._groups["small"] = GroupConfig(memory=300 * MB, **bounds)
            units: dict[str, UnitConfig] = {}
            for name in "abcde"[: self._dice.randint(2, 5)]:
                units[name] = self._unit(name, units, bounded=memory is not None)
            made = self._made(units, master)
            if made is not None:
                return made

    def change(self, old: Config) -> Config:
        """What somebody may have made of it: one or two changes."""
        made = old
        for _ in range(self._dice.randint(1, 2)):
            made = self._changed(made) or made
        return made

    def _unit(self, name: str, before: Mapping[str, UnitConfig], *, bounded: bool) -> UnitConfig:
        dice, story = self._dice, self._story
        there = tuple([each for each in self._groups if dice.random() < 0.4])
        bounded = bounded or "small" in there
        memory = dice.choice((100, 200, 300)) * MB if bounded and not self.learned else None
        pinned = not self.learned and dice.random() < 0.08
        alone = "gpu" in there or story in ("crowded", "drowsy")
        replicas = 1 if alone else dice.choice((2, 3) if story == "growing" else (1, 1, 2, 3))
        most = dice.choice((None, 1, 3)) if replicas == 1 else dice.choice((1, 2))
        idle = 1.0 if story == "drowsy" else dice.choice((NEVER, 1.0, 20.0))
        warm = not pinned and idle != NEVER and dice.random() < (0.8 if story == "drowsy" else 0.4)
        leans = {"crowded": 0.0, "leaning": 0.6, "drowsy": 0.5}.get(story, 0.25)
        return UnitConfig(
            **QUIET,
            name=name,
            groups=there,
            memory=memory,
            pinned=pinned,
            preload=dice.random() < 0.1,
            replicas=replicas,
            concurrency=most,
            scale_down=0.5 if replicas > 1 and dice.random() < 0.5 else None,
            idle=idle,
            warm=dice.choice((1.0, 20.0)) if warm else None,
            depends_on=tuple([each for each in before if dice.random() < leans]),
            restart=dice.choice(tuple(Restart)[:3]),
            ping=2.0 if bounded and self.learned else NEVER,
        )

    def _changed(self, old: Config) -> Config | None:
        """One change; None: a master would refuse it."""
        dice, units, master = self._dice, dict(old.units), old.master
        name = dice.choice(sorted(units))
        unit = units[name]
        match dice.randrange(8):
            case 0 | 1 if len(units) > 1:
                del units[name]
            case 2:
                new = next((each for each in "abcde" if each not in units), "e")
                units.pop(new, None)
                units[new] = self._unit(new, units, bounded=master.memory is not None)
            case 3 if master.memory is not None:
                memory = dice.choice((500, 700) if self.learned else (300, 500, 700, 900))
                master = replace(master, memory=memory * MB)
            case 4:
                gpu = replace(self._groups["gpu"], max_wait=dice.choice((3.0, 8.0)))
                self._groups["gpu"] = gpu
            case 5 if unit.concurrency is not None and "gpu" not in unit.groups:
                units[name] = replace(unit, replicas=dice.choice((1, 2, 3)), scale_down=None)
            case 6 if unit.memory is not None:
                units[name] = replace(unit, memory=dice.choice((100, 200, 300)) * MB)
            case _:
                units[name] = replace(unit, env={"VERSION": str(dice.random())})
        return self._made(units, master)

    def _made(self, units: Mapping[str, UnitConfig], master: MasterConfig) -> Config | None:
        used = {name for unit in units.values() for name in unit.groups}
        groups = {name: group for name, group in self._groups.items() if name in used}
        known = all(needed in units for unit in units.values() for needed in unit.depends_on)
        if not known or [*mistakes(units, groups, master)]:
            return None
        return Config(units=units, groups=groups, master=master, routes={}, folder=Path())
