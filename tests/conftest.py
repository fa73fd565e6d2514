"""Runs `async def` tests, each on a loop of its own, where no masters run but theirs."""

import asyncio
import inspect
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_BASE = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # What runs in the background of a script ignores it, and so would all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Short, too, when several processes share the tests: each then has a folder in it.
    if not config.option.basetemp:
        config.option.basetemp = config.stash[_BASE] = tempfile.mkdtemp(prefix="hsu-p-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _BASE in config.stash:
        shutil.rmtree(config.stash[_BASE], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="session", autouse=True)
def temporary_folder() -> Iterator[Path]:
    """Where masters without a session are: in this process and, by TMPDIR, in those that it starts."""
    with (
        # Short: it is a part of the paths of sockets.
        tempfile.TemporaryDirectory(prefix="hsu-t-") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name) / f"hsu-{os.getuid()}"
        patch.setenv("TMPDIR", name)
        patch.setattr("hsu_worker.master.folder.temporary_folder", lambda: folder)
        yield folder
