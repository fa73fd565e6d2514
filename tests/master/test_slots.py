"""What is spawned takes its turn; who hangs loses it."""

import asyncio
from pathlib import Path

import pytest

from hsu_worker.errors import DeadlineExceeded
from hsu_worker.master import slots
from hsu_worker.master.slots import Slots
from tests.gen.hsu_test_kinds import Ask, Kinds
from tests.master.running import app, count_starts, running, starts, text
from tests.until import until


def bounded() -> asyncio.Timeout:
    return asyncio.timeout(10)


async def full() -> tuple[Slots, list[asyncio.Task[object]]]:
    """All slots taken, and one more who waits."""
    of = Slots()
    waiting: list[asyncio.Task[object]] = []
    while not waiting or waiting[-1].done():
        waiting.append(asyncio.create_task(of.take()))
        await asyncio.sleep(0)
    return of, waiting


async def test_one_that_is_given_back_goes_to_the_next() -> None:
    async with bounded():
        _, [first, *_, last] = await full()
        release = first.result()
        assert callable(release)
        release()
        release()
        await last


async def test_twice_given_back_is_once_given_back() -> None:
    async with bounded():
        of, [first, *_, last] = await full()
        further = asyncio.create_task(of.take())
        release = first.result()
        assert callable(release)
        release()
        release()
        await last
        assert not further.done()
        further.cancel()


async def test_who_keeps_it_for_too_long_loses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SHARE", 0.01)
    async with bounded():
        _, [*_, last] = await full()
        await last


@pytest.mark.parametrize(("launcher", "most"), [("spawn", 1), ("fork", 6)])
async def test_spawns_come_one_after_the_other_and_forks_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str, most: int
) -> None:
    monkeypatch.setattr(slots, "SHARE", 60.0)
    monkeypatch.setattr(slots, "processors", lambda: 1)
    # What has begun to import goes on when all that can have begun.
    before = f"{count_starts(tmp_path)}\nwhile not Path('go').exists(): time.sleep(0.001)\n"
    units = "\n".join(
        text(app(tmp_path, before=before), f'launcher = "{launcher}"').replace(
            "units.u", f"units.u{n}"
        )
        for n in range(6)
    )
    async with running(tmp_path, f'{units}\n[routes]\n"hsu.test.v1.Kinds" = "u0"') as it:
        calls = [
            asyncio.create_task(it.master.client(Kinds, unit=f"u{n}").unary(Ask(), timeout=60))
            for n in range(6)
        ]
        await until(lambda: (tmp_path / "starts").exists() and len(starts(tmp_path)) == most)
        begun = len(starts(tmp_path))
        (tmp_path / "go").touch()
        await asyncio.gather(*calls)

        assert most == begun
        assert 6 == len(set(starts(tmp_path)))


async def test_who_waits_for_a_slot_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "SHARE", 60.0)
    monkeypatch.setattr(slots, "processors", lambda: 1)
    before = f"{count_starts(tmp_path)}\nwhile not Path('go').exists(): time.sleep(0.001)\n"
    units = "\n".join(
        text(app(tmp_path, before=before), 'launcher = "spawn"').replace("units.u", f"units.u{n}")
        for n in range(2)
    )
    async with running(tmp_path, f'{units}\n[routes]\n"hsu.test.v1.Kinds" = "u0"') as it:
        first = asyncio.create_task(it.master.start("u0"))
        await until(lambda: (tmp_path / "starts").exists())
        with pytest.raises(DeadlineExceeded) as caught:
            await it.master.client(Kinds, unit="u1").unary(Ask(), timeout=0.1)
        waiting = it.master.status()["u1"]
        (tmp_path / "go").touch()
        await first
        await it.master.start("u1")
        served = it.master.status()["u1"]

    says = "waits for a start slot"
    expected = f"unit 'u1': the time ran out while waiting for it (starting): {says}"
    assert expected == caught.value.message
    assert ("starting", says) == (waiting.phase, waiting.detail)
    assert served.detail.startswith("pid ")
