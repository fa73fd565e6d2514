"""The reloader itself, with changes that nobody has to make."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Collection
from pathlib import Path

import pytest

from hsu_worker.errors import LaunchError
from hsu_worker.wire.address import Address
from hsu_worker.worker import reloader
from hsu_worker.worker.options import Serving
from hsu_worker.worker.reloader import Reloader
from tests.master.running import count_starts, starts
from tests.until import until
from tests.worker.process import ROOT, write_service

#: Starts, and won't leave.
HANGS = """
@lifespan
def loaded(self):
    Path('entered').touch()
    yield
    Path('leaving').touch()
    time.sleep(600)
"""


async def test_one_that_does_not_leave_in_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(reloader, "GRACE", 0.2)
    before = count_starts(tmp_path)
    options = Serving(
        app=write_service(tmp_path, HANGS, before=before),
        app_dir=str(tmp_path),
        listen=(Address(path=str(tmp_path / "s")),),
    )
    changes: asyncio.Queue[Collection[str]] = asyncio.Queue()

    async def watch() -> AsyncGenerator[Collection[str], None]:
        while True:
            yield await changes.get()

    running = asyncio.create_task(Reloader(options).run(watch()))
    await until((tmp_path / "entered").exists)
    write_service(tmp_path, before=before)
    changes.put_nowait({str(tmp_path / "mysvc.py")})
    await until(lambda: len(starts(tmp_path)) == 2)
    assert (tmp_path / "leaving").exists()
    os.kill(os.getpid(), signal.SIGINT)
    assert 0 == await running
    assert "the worker has not left within 0.2 s, and is killed" in caplog.messages


async def test_what_can_not_be_watched_ends_it(tmp_path: Path) -> None:
    options = Serving(app="mysvc", app_dir=str(tmp_path))
    with pytest.raises(LaunchError, match="--reload can't watch nosuch: "):
        await Reloader(options).run(reloader.changes([Path("nosuch")], ["*.py"]))
