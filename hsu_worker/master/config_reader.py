"""Reads the text of an `hsu.toml`, and collects every mistake in it."""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hsu_worker.errors import ConfigError
from hsu_worker.master.duration import NEVER
from hsu_worker.master.group_table import GroupConfig
from hsu_worker.master.keys import is_required, keys_of
from hsu_worker.master.kinds import KINDS
from hsu_worker.master.master_table import MasterConfig
from hsu_worker.master.nearest import no_unit
from hsu_worker.master.sharing import mistakes
from hsu_worker.master.tables import UnitConfig
from hsu_worker.master.values import toml, wrong

_UNIT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_CHOICE = (
    'what should it run? Write one of app = "module:App", command = ["./program"],'
    ' address = "tcp:127.0.0.1:5000", register = true'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What a file says."""

    units: Mapping[str, UnitConfig]
    groups: Mapping[str, GroupConfig]
    routes: Mapping[str, str]
    master: MasterConfig


class Reader:
    """Reads one text; `read` once.

    Args:
        name: What the messages call the file.

        folder: Where relative paths start.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._mistakes: list[str] = []

    def read(self, text: str) -> Tables:
        """What the file says.

        Raises:
            ConfigError: With a line for every mistake.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{self._name}: not TOML: {error}") from None
        self._unknown((), document, ("units", "groups", "routes", "master"))
        tables = self._table(("units",), document.get("units", {}))
        units = {name: self._unit(name, value) for name, value in tables.items()}
        implemented = {
            name: tuple(unit["implements"]) if unit and "implements" in unit else None
            for name, unit in units.items()
        }
        self._shared_logs(units)
        self._dependencies(units)
        routes = self._routes(document, implemented)
        before = len(self._mistakes)
        master = self._table(("master",), document.get("master", {}))
        found = self._keys(("master",), master, MasterConfig)
        for key in ("min_residency", "max_wait"):
            if key in master and "memory" not in master:
                self._mistake(
                    ("master", key), "does nothing without memory; write that, too, or remove this"
                )
        groups = {
            name: self._keys(("groups", name), self._table(("groups", name), value), GroupConfig)
            for name, value in self._table(("groups",), document.get("groups", {})).items()
        }
        made = Tables(
            # What is not whole has its own mistakes.
            units=MappingProxyType(
                {
                    name: UnitConfig(name=name, **values)
                    for name, values in units.items()
                    if "implements" in values and any(values.get(kind) for kind in KINDS)
                }
            ),
            groups=MappingProxyType({name: GroupConfig(**groups[name]) for name in groups}),
            routes=MappingProxyType(routes),
            master=MasterConfig(**found),
        )
        if len(self._mistakes) == before:
            for where, message in mistakes(made.units, made.groups, made.master):
                self._mistake(where, message)
        if self._mistakes:
            raise ConfigError("\n".join(self._mistakes))
        return made

    def _mistake(self, where: Iterable[str], message: str) -> None:
        dotted = ".".join(part if _BARE_KEY.fullmatch(part) else toml(part) for part in where)
        self._mistakes.append(f"{self._name}: {dotted}: {message}")

    def _unknown(self, where: tuple[str, ...], table: Iterable[str], known: Iterable[str]) -> None:
        names = list(known)
        for name in table:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                cure = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
                self._mistake((*where, name), f"unknown key; {cure}")

    def _table(self, where: tuple[str, ...], value: object) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self._mistake(where, f"expected a table: [{'.'.join(where)}]")
        return {}

    def _keys(
        self, where: tuple[str, ...], table: Mapping[str, object], declared: type
    ) -> dict[str, Any]:
        """The values of the keys that are right; mistakes are noted."""
        known = keys_of(declared)
        self._unknown(where, table, known)
        values: dict[str, Any] = {}
        for name, facts in known.items():
            if name not in table and is_required(declared, name):
                self._mistake((*where, name), f"missing; write {name} = {facts.value.strip('`')}")
            value = table.get(name, facts.default)
            if value is None:
                continue
            try:
                values[name] = facts.parse(value, self._folder)
            except ConfigError as error:
                self._mistake((*where, name), str(error))
            except OSError as error:
                self._mistake((*where, name), f"{toml(value)}: {error.strerror}")
        return values

    def _unit(self, name: str, value: object) -> dict[str, Any]:
        where = ("units", name)
        if not _UNIT_NAME.fullmatch(name):
            self._mistake(
                where,
                "not a name for a unit; use up to 40 of a-z, 0-9, _ and -, a letter or digit first",
            )
        if not isinstance(value, dict):
            self._table(where, value)
            return {}
        values = self._keys(where, value, UnitConfig)
        kinds = [kind for kind in KINDS if kind in value]
        if not kinds:
            self._mistake(where, _CHOICE)
        elif len(kinds) > 1:
            self._mistake(where, f"{_listed(map(repr, kinds))} exclude each other; keep one")
        else:
            self._misfits(where, value, kinds[0])
            if values.get("restart_above") and values.get("ping") == NEVER:
                self._mistake(
                    (*where, "restart_above"),
                    'does nothing with ping = "never"; remove one of them',
                )
            if values.get("warm") and (values.get("pinned") or values.get("idle") == NEVER):
                why = "pinned = true" if values.get("pinned") else 'idle = "never"'
                self._mistake((*where, "warm"), f"does nothing with {why}; remove one of them")
            if values.get("replicas", 1) > 1 and "concurrency" not in value:
                self._mistake(
                    (*where, "replicas"),
                    "another worker starts when those that run are full, and without concurrency none ever is;"
                    " write concurrency = 1, or how many calls a worker takes at the same time",
                )
            if values.get("replicas", 1) > 1 and values.get("lifetime") == "survive":
                self._mistake(
                    (*where, "replicas"),
                    'a master adopts one worker of a unit; remove it, or lifetime = "survive"',
                )
            if "scale_down" in value and values.get("replicas") == 1:
                self._mistake(
                    (*where, "scale_down"),
                    "does nothing without replicas; write replicas = 2, or remove it",
                )
            if values.get("preimport") and values.get("launcher") == "spawn":
                self._mistake(
                    (*where, "preimport"),
                    'does nothing with launcher = "spawn"; remove one of them',
                )
        return values

    def _misfits(self, where: tuple[str, ...], table: Iterable[str], kind: str) -> None:
        known = keys_of(UnitConfig)
        for name in table:
            fits = known[name].kinds if name in known else ()
            if fits and kind not in fits:
                instead = _listed(map(repr, fits), "or")
                self._mistake(
                    (*where, name),
                    f"does nothing in a unit with {kind!r}, only in one with {instead}; remove it",
                )

    def _shared_logs(self, units: Mapping[str, Mapping[str, Any]]) -> None:
        writers: dict[str, str] = {}
        for unit, values in units.items():
            if "log_file" in values:
                first = writers.setdefault(os.path.realpath(values["log_file"]), unit)
                if first != unit:
                    self._mistake(
                        ("units", unit, "log_file"),
                        f"unit {first!r} writes into it, too; each needs a file of its own",
                    )

    def _dependencies(self, units: Mapping[str, Mapping[str, Any]]) -> None:
        needs: dict[str, list[str]] = {}
        for unit, values in units.items():
            where = ("units", unit, "depends_on")
            named = values.get("depends_on", ())
            needs[unit] = [name for name in named if name in units]
            for name in named:
                if name not in units:
                    others = [each for each in units if each != unit]
                    self._mistake(where, no_unit(name, others, "units"))
        for way in _cycles(needs):
            self._mistake(
                ("units", way[0], "depends_on"),
                f"it depends on itself: {' -> '.join(way)}; none could start first, so remove one step",
            )

    def _routes(
        self, document: Mapping[str, Any], implemented: Mapping[str, tuple[str, ...] | None]
    ) -> dict[str, str]:
        table = self._table(("routes",), document.get("routes", {}))
        for interface, unit in table.items():
            self._route(interface, unit, implemented)
        units_of: dict[str, list[str]] = {}
        for unit, interfaces in implemented.items():
            for interface in interfaces or ():
                units_of.setdefault(interface, []).append(unit)
        for interface, units in units_of.items():
            if len(units) > 1 and interface not in table:
                others = " or ".join(toml(unit) for unit in units[1:])
                header = "" if "routes" in document else "[routes]\n"
                self._mistake(
                    ("routes",),
                    f"{interface} is implemented by {_listed(units)};"
                    f" write to which one its calls go{', under [routes]' * (not header)}:\n"
                    f"{header}{toml(interface)} = {toml(units[0])}  # or {others}",
                )
        return table

    def _route(
        self, interface: str, unit: object, implemented: Mapping[str, tuple[str, ...] | None]
    ) -> None:
        where = ("routes", interface)
        if not isinstance(unit, str):
            self._mistake(where, str(wrong("the name of a unit", unit)))
            return
        if unit not in implemented:
            there = _listed(implemented) or "none"
            self._mistake(where, f"there is no unit {unit!r}; units: {there}")
            return
        interfaces = implemented[unit]
        if interfaces is not None and interface not in interfaces:
            able = [name for name, known in implemented.items() if known and interface in known]
            cure = f"units that do: {_listed(able)}" if able else "no unit does; remove the line"
            self._mistake(where, f"unit {unit!r} does not implement it; {cure}")


def _cycles(needs: dict[str, list[str]]) -> list[list[str]]:
    """Ways that lead back to where they begin; without a step of each, none is left."""
    found: list[list[str]] = []
    while True:
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            way: list[str] = error.args[1][:0:-1]
            first = way.index(min(way, key=list(needs).index))
            way = [*way[first:], *way[:first], way[first]]
            found.append(way)
            needs = needs | {way[0]: [name for name in needs[way[0]] if name != way[1]]}
        else:
            return found


def _listed(names: Iterable[str], word: str = "and") -> str:
    *first, last = [*names] or [""]
    return f"{', '.join(first)} {word} {last}" if first else last
