"""What a unit may take of the machine is set in its process before anything else runs there."""

import os
import resource
import sys
from pathlib import Path

import pytest

from hsu_worker.errors import ConfigError, Internal
from hsu_worker.master import Config, values
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import app, running, text
from tests.until import until

#: Told by the worker of itself, and of a process that it starts.
TELLS = """
import json, resource, subprocess

SAYS = "import json, os, resource; print(json.dumps([" \\
    "resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_AS)," \\
    "os.nice(0), sorted(os.sched_getaffinity(0))]))"
"""
BODY = """
async def unary(self, request):
    if request.number:
        self.kept = bytearray(request.number)
    if request.text == "child":
        return Answer(text=subprocess.check_output(["python3", "-c", SAYS], text=True))
    limits = [resource.getrlimit(each) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)]
    found = [*limits, os.nice(0), sorted(os.sched_getaffinity(0))]
    return Answer(text=json.dumps(found), number=os.getpid())
"""

CPU = min(os.sched_getaffinity(0))
KEYS = (
    "open_files = 100",
    'address_space = "8GiB"',
    "nice = 5",
    f"cpus = [{CPU}]",
)


def expected() -> str:
    return f"[[100, 100], [{8 << 30}, {8 << 30}], {os.nice(0) + 5}, [{CPU}]]"


@pytest.mark.parametrize("launcher", ["fork", "spawn"])
async def test_an_app_has_its_limits_and_so_have_its_children(
    tmp_path: Path, launcher: str
) -> None:
    toml = text(app(tmp_path, BODY, before=TELLS), f'launcher = "{launcher}"', *KEYS)
    async with running(tmp_path, toml) as it:
        own = await it.kinds.unary(Ask())
        assert (launcher == "fork") == it.master.status()["u"].detail.endswith("forked")
        child = await it.kinds.unary(Ask(text="child"))
    assert [expected()] * 2 == [own.text, child.text.strip()]


async def test_a_command_has_its_limits(tmp_path: Path) -> None:
    app(tmp_path, BODY, before=TELLS)
    command = f'command = ["{sys.executable}", "-m", "hsu_worker.worker", "mysvc:Service"]'
    async with running(tmp_path, text(command, *KEYS)) as it:
        assert expected() == (await it.kinds.unary(Ask())).text


async def test_without_a_key_the_limits_are_those_of_the_master(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, BODY, before=TELLS))) as it:
        told = (await it.kinds.unary(Ask())).text
    files, space = (
        list(resource.getrlimit(each)) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)
    )
    assert f"[{files}, {space}, {os.nice(0)}, {sorted(os.sched_getaffinity(0))}]" == told


async def test_memory_over_the_address_space_is_refused_to_the_call_and_nobody_else(
    tmp_path: Path,
) -> None:
    toml = text(app(tmp_path, BODY, before=TELLS), 'address_space = "4GiB"')
    async with running(tmp_path, toml) as it:
        before = (await it.kinds.unary(Ask())).number
        with pytest.raises(Internal):
            await it.kinds.unary(Ask(number=8 << 30))
        assert before == (await it.kinds.unary(Ask())).number


async def test_one_that_has_too_much_memory_is_replaced(tmp_path: Path) -> None:
    toml = text(
        app(tmp_path, BODY, before=TELLS),
        'restart_above = "200MiB"',
        'ping = "50ms"',
        'healthy = "0s"',
    )
    async with running(tmp_path, toml) as it:
        before = (await it.kinds.unary(Ask(number=1 << 20))).number
        assert before == (await it.kinds.unary(Ask(number=300 << 20))).number
        await until(lambda: "swapped" in [event.kind for event in it.told])
        after = (await it.kinds.unary(Ask(number=1))).number
        await it.event("stopped")
        (swapping,) = (event for event in it.told if event.kind == "swapping")
        told = swapping.detail

    assert before != after
    figure, limit = told.split("; ")
    assert "`restart_above` is 200 MiB" == limit
    assert 300 <= int(figure.split()[2]) < 500


def test_memory_is_watched_only_where_somebody_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "LINUX", False)
    with pytest.raises(ConfigError) as refused:
        Config.from_text(text('app = "m:A"', 'restart_above = "200MiB"'))
    assert str(refused.value) == (
        "hsu.toml: units.u.restart_above: this system doesn't tell what a process has of its own; "
        "remove the line"
    )
