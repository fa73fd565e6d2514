"""Faults of units that others depend on, with true processes."""

import asyncio
from pathlib import Path

import pytest

from hsu_worker.errors import StartError
from hsu_worker.master.policy import Phase
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import Running, app, processes_in, running, text

#: A file keeps its lifespan from being entered or left.
BODY = """@lifespan
def held(self):
    if Path('broken').exists():
        raise RuntimeError('no disk')
    while Path('slow').exists():
        time.sleep(0.01)
    yield
    while Path('slow-stop').exists():
        time.sleep(0.01)
async def unary(self, request):
    return Answer(number=os.getpid())"""


def units(folder: Path, *more: str) -> str:
    """An `hsu.toml` in which `u` depends on `base`, each in a folder of its own."""
    made = []
    for name, keys in (("u", ('depends_on = ["base"]', *more)), ("base", ('grace = "2s"',))):
        (folder / name).mkdir()
        table = text(app(folder / name, BODY), f'cwd = "{name}"', *keys)
        made.append(table.replace("[units.u]", f"[units.{name}]"))
    return "\n".join([*made, '[routes]\n"hsu.test.v1.Kinds" = "u"'])


def order(it: Running, kind: str) -> list[str]:
    return [event.unit for event in it.told if event.kind == kind]


async def call(it: Running) -> int:
    return (await it.kinds.unary(Ask(), timeout=20)).number


async def test_t42_a_slow_dependency_is_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path, units(tmp_path, 'stall = "1s"', 'start_timeout = "1s"')) as it:
        slow = tmp_path / "base" / "slow"
        slow.touch()
        waiting = asyncio.ensure_future(call(it))
        await it.event("progress")
        status = it.master.status()["u"]
        assert (Phase.STARTING, "waits for unit 'base'") == (status.phase, status.detail)
        # More than all that the start itself may take.
        await asyncio.sleep(1.5)
        assert not waiting.done()
        assert [] == processes_in(tmp_path / "u")
        slow.unlink()
        await waiting
        assert ["base", "u"] == order(it, "ready")


async def test_t42_a_dependency_that_fails_is_named(tmp_path: Path) -> None:
    async with running(tmp_path, units(tmp_path)) as it:
        broken = tmp_path / "base" / "broken"
        broken.touch()
        with pytest.raises(StartError) as caught:
            await call(it)
        expected = "unit 'u' did not start: it depends on 'base': unit 'base' did not start: "
        assert caught.value.message.startswith(expected)
        assert "no disk" in caught.value.message
        broken.unlink()
        await call(it)


async def test_t42_at_the_end_what_others_depend_on_is_stopped_after_them(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with running(tmp_path, units(tmp_path, 'grace = "2s"')) as it:
        await call(it)
        for name in ("u", "base"):
            (tmp_path / name / "slow-stop").touch()
        began = loop.time()
    # Each has its grace, and the kill; together no more than their sum.
    assert loop.time() - began < 2 * (2.0 + 1.0)
    assert ["u", "base"] == order(it, "stopped")
    first, second = [event for event in it.told if event.kind in ("stopping", "stopped")][:2]
    assert ("u", "stopping", "u", "stopped") == (first.unit, first.kind, second.unit, second.kind)
