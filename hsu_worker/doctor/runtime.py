"""Where masters of this user keep their sockets, and those that run."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from hsu_worker.doctor.finding import Finding, Verdict, ok, problem, warning
from hsu_worker.doctor.reach import unreachable
from hsu_worker.errors import ConfigError, MalformedAddress, NoMaster
from hsu_worker.master.config import Config
from hsu_worker.master.discovery import find_master
from hsu_worker.master.folder import (
    PREFIX,
    check_paths,
    is_own_folder,
    owner_of,
    running_masters,
    runtime_folder,
    runtime_folders,
)

_FOLDER: Final = "runtime-folder"
_MASTERS: Final = "masters"
_ELSEWHERE: Final = "set runtime_dir in the table [master] of hsu.toml to a folder of your own"
#: Seconds after which a folder without a master is no longer one that is being made.
_OLD: Final = 60.0


def sockets(folder: Path) -> Iterator[Finding]:
    """Whether a master could make its folder."""
    parent, units = _asked_for(folder)
    wrong = list(_wrong(parent, units))
    yield from wrong
    if not wrong:
        yield ok(_FOLDER, f"masters keep their sockets in {parent}")


def _asked_for(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder that the project leads to, and the units with sockets in it."""
    with suppress(ConfigError):
        config = Config.from_file(folder / "hsu.toml")
        return config.master.runtime_dir or runtime_folder(), tuple(config.units)
    return runtime_folder(), ()


def _wrong(parent: Path, units: tuple[str, ...]) -> Iterator[Finding]:
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    if named and runtime_folder() != Path(named):
        yield warning(
            _FOLDER,
            f"XDG_RUNTIME_DIR names {named}, which is no folder of yours; "
            f"{runtime_folder()} is used",
            "correct it or unset it",
        )
    there = next(each for each in (parent, *parent.parents) if each.exists())
    if there == parent and not is_own_folder(parent):
        yield problem(_FOLDER, f"{parent} is not a folder of this user", _ELSEWHERE)
    elif not os.access(there, os.W_OK | os.X_OK):
        yield problem(_FOLDER, f"{there} can't be written to", _ELSEWHERE)
    elif there == parent and parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield problem(_FOLDER, f"{parent} can be written to by others", f"chmod 700 {parent}")
    try:
        check_paths(parent / f"{PREFIX}12345678", units)
    except ConfigError as error:
        yield problem(_FOLDER, str(error), _ELSEWHERE)


def masters(folder: Path) -> Iterator[Finding]:
    """Those that run, and what others left behind."""
    parent, _ = _asked_for(folder)
    places = list(dict.fromkeys((*runtime_folders(), parent)))
    found = [each for place in places for each in _in(place)]
    if not any(each.verdict is Verdict.OK for each in found):
        yield ok(_MASTERS, f"no master runs in {' or '.join(map(str, places))}")
    yield from found
    if named := os.environ.get("HSU_MASTER"):
        yield from _named(named)


def _in(parent: Path) -> Iterator[Finding]:
    killed = [
        each
        for each in filter(is_own_folder, parent.glob(f"{PREFIX}*"))
        if (owner := owner_of(each)) is not None and not owner.lives
    ]
    running = running_masters(parent)
    for each, owner in running.items():
        who = f"pid {owner.pid}, {owner.config or 'without a file'}" if owner else "no name"
        yield ok(_MASTERS, f"a master runs in {each}: {who}")
    removed = [each for each in killed if not each.exists()]
    if removed:
        yield ok(_MASTERS, f"what killed masters had left in {parent} is removed: {len(removed)}")
    for each in sorted(filter(is_own_folder, parent.glob(f"{PREFIX}*"))):
        if each not in running and time.time() - each.stat().st_mtime > _OLD:
            yield warning(_MASTERS, f"{each} is left of a master that was killed", f"rm -r {each}")


def _named(where: str) -> Iterator[Finding]:
    try:
        place = find_master(where)
    except (ConfigError, MalformedAddress, NoMaster) as error:
        yield problem(_MASTERS, f"HSU_MASTER: {error}", "unset HSU_MASTER, or correct it")
        return
    if trouble := unreachable(place.address):
        yield problem(
            _MASTERS,
            f"HSU_MASTER names {place.address}, and nothing answers there: {trouble}",
            "start that master, or unset HSU_MASTER",
        )
    else:
        yield ok(_MASTERS, f"HSU_MASTER names {place.address}, and somebody answers there")
