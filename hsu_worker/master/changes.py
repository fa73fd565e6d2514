"""What two readings of an `hsu.toml` differ in."""

from dataclasses import dataclass, fields

from hsu_worker.errors import ConfigError
from hsu_worker.master.config import Config
from hsu_worker.master.keys import keys_of
from hsu_worker.master.master_table import MasterConfig
from hsu_worker.master.router import Router
from hsu_worker.master.sharing import rules
from hsu_worker.master.tables import UnitConfig

_KEYS = keys_of(UnitConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a reload has done: names of units, in the order of the file.

    changes = await master.reload()
    print("replaced:", *changes.replaced)
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """Their calls ended, or their `drain` did, and nothing is left of them."""
    replaced: tuple[str, ...] = ()
    """They are launched otherwise: one that serves goes on until the new one takes its place."""
    adjusted: tuple[str, ...] = ()
    """What has changed holds without a new process."""
    routed: tuple[str, ...] = ()
    """Interfaces whose calls go to another unit."""

    def __bool__(self) -> bool:
        return self != Changes()


def shares(config: Config, unit: str) -> object:
    """What a unit shares with others."""
    return rules(config.units, config.groups, config.master).pools_of(unit)


def changes(old: Config, new: Config) -> Changes:
    """What has to be done to get from one to the other.

    Raises:
        ConfigError: A key of `[master]` differs that holds for as long as a master runs.
    """
    fixed = [
        f"{new.file}: master.{each.name}: it can't change while the master runs; "
        "change it back, or start the master again"
        for each in fields(MasterConfig)
        if not keys_of(MasterConfig)[each.name].live
        and getattr(old.master, each.name) != getattr(new.master, each.name)
    ]
    if fixed:
        raise ConfigError("\n".join(fixed))
    differ = {
        name: needs_a_process(changed(old.units[name], unit))
        for name, unit in new.units.items()
        if name in old.units and (old.units[name] != unit or shares(old, name) != shares(new, name))
    }
    return Changes(
        added=tuple(name for name in new.units if name not in old.units),
        removed=tuple(name for name in old.units if name not in new.units),
        replaced=tuple(name for name, needs in differ.items() if needs),
        adjusted=tuple(name for name, needs in differ.items() if not needs),
        routed=_routed(Router(old), Router(new)),
    )


def _routed(old: Router, new: Router) -> tuple[str, ...]:
    both = (name for name in new.interfaces if name in old.interfaces)
    return tuple(name for name in both if old.unit_for(name) != new.unit_for(name))


def changed(old: UnitConfig, new: UnitConfig) -> dict[str, object]:
    """The keys that differ, with their new values."""
    return {name: getattr(new, name) for name in _KEYS if getattr(old, name) != getattr(new, name)}


def launch_keys(unit: UnitConfig) -> dict[str, object]:
    """The keys that say something of a process that runs, with their values."""
    return {name: getattr(unit, name) for name, key in _KEYS.items() if not key.live}


def needs_a_process(keys: dict[str, object]) -> bool:
    """Whether one of these keys says something of a process that runs."""
    return not all(_KEYS[name].live for name in keys)
