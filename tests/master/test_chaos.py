"""A short run of the attack; `python -m tests.master.chaos` is the long one."""

import random
from pathlib import Path

from tests.master.chaos import Chaos


async def test_nothing_is_lost_or_left_when_everything_is_attacked(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    report = await Chaos(tmp_path, seed, seconds=12).run()
    assert [] == report.wrong, report.as_json()
    assert report.outcomes["answered"] > 100, report.as_json()
