"""What a reload has to do is told by the two configurations."""

from pathlib import Path

import pytest

from hsu_worker.errors import ConfigError
from hsu_worker.master.changes import Changes, changes
from hsu_worker.master.config import Config
from hsu_worker.master.keys import keys_of
from hsu_worker.master.tables import UnitConfig

A = 'app = "m:A"\n'


def config(folder: Path, master: str = "", **units: str) -> Config:
    """Each unit implements an interface of its own, and `a.All`."""
    tables = [
        f'[units.{name}]\nimplements = ["a.{name.title()}", "a.All"]\n{text}\n'
        for name, text in units.items()
    ]
    if "[routes]" not in master:
        master += f'[routes]\n"a.All" = "{next(iter(units))}"\n'
    (folder / "hsu.toml").write_text("".join([*tables, master]))
    return Config.from_file(folder / "hsu.toml")


def test_nothing_has_changed(tmp_path: Path) -> None:
    route = '[routes]\n"a.All" = "v"\n'
    found = changes(config(tmp_path, route, u=A, v=A), config(tmp_path, route, v=A, u=A))
    assert Changes() == found
    assert not found


def test_units_come_go_and_change(tmp_path: Path) -> None:
    old = config(tmp_path, gone=A, same=A, idle=A, moved=A)
    new = config(
        tmp_path,
        moved=A + 'env = {X = "1"}\nidle = "3s"\n',
        idle=A + 'idle = "3s"\nconcurrency = 2\n',
        same=A,
        new=A,
    )
    assert Changes(
        added=("new",),
        removed=("gone",),
        replaced=("moved",),
        adjusted=("idle",),
        routed=("a.All",),
    ) == changes(old, new)


def test_a_route_alone_is_a_change(tmp_path: Path) -> None:
    routes = ('[routes]\n"a.All" = "v"\n', '[routes]\n"a.All" = "u"\n')
    old, new = (config(tmp_path, route, u=A, v=A) for route in routes)
    assert Changes(routed=("a.All",)) == changes(old, new)


def test_what_holds_for_the_life_of_a_master_is_refused_at_once(tmp_path: Path) -> None:
    old = config(tmp_path, u=A)
    new = config(tmp_path, '[master]\nruntime_dir = "run"\nmessage_bytes = "1MiB"\n', u=A)
    with pytest.raises(ConfigError) as caught:
        changes(old, new)
    cure = "it can't change while the master runs; change it back, or start the master again"
    assert [
        f"{tmp_path}/hsu.toml: master.runtime_dir: {cure}",
        f"{tmp_path}/hsu.toml: master.message_bytes: {cure}",
    ] == str(caught.value).splitlines()


def test_the_keys_of_the_policy_need_no_new_process() -> None:
    """All that a unit's rules are made of, and what only concerns starts to come, the log and others."""
    rules = set(UnitConfig.__dataclass_fields__) & {
        *("queue", "concurrency", "idle", "drain", "restart", "backoff", "backoff_most", "healthy"),
        *("breaker", "breaker_window", "breaker_retry", "pinned", "warm"),
    }
    others = {
        *("survivor", "preload", "prewarm", "replicas", "scale_down", "stall", "start_timeout"),
        *("log_file", "log_size", "log_keep", "memory", "groups"),
    }
    live = {name for name, key in keys_of(UnitConfig).items() if key.live}
    assert rules | others == live
