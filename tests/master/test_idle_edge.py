"""Calls that come at the very moment in which a unit becomes idle."""

import asyncio
import random
from pathlib import Path

import pytest

from hsu_worker.errors import RpcError
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import app, count_starts, processes_in, running, starts, text

IDLE = 0.05
CALLS = 60


@pytest.mark.timeout(240)
async def test_no_call_around_the_idle_time_fails(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    toml = text(app(tmp_path, before=count_starts(tmp_path)), f'idle = "{IDLE * 1000:g}ms"')
    failed: list[tuple[int, float, RpcError]] = []
    pause = 0.0
    async with running(tmp_path, toml) as it:
        for n in range(CALLS):
            try:
                answer = await it.kinds.unary(Ask(text=str(n)), timeout=30)
                assert str(n) == answer.text
            except RpcError as error:
                failed.append((n, pause, error))
            pause = IDLE + dice.uniform(-0.05, 0.05)
            await asyncio.sleep(pause)
        generation = it.master.status()["u"].generation

    assert [] == failed
    # Some came before it was idle, and some after.
    assert 1 < generation < CALLS
    assert generation == len(starts(tmp_path))
    assert [] == processes_in(tmp_path)
