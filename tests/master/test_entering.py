"""Entering a master: once at a time, with an end that leaves nothing, and never open to strangers."""

import asyncio
import gc
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.errors import AddressError
from hsu_worker.gen.hsu_a import InterfaceA
from hsu_worker.master import BlockingMaster, Config, Master
from hsu_worker.wire.address import Address

UNIT = '[units.u]\ncommand = ["true"]\nimplements = ["hsu.a.v1.InterfaceA"]\n'
TWICE = (
    "the master runs already: enter it once, and share it; its clients may be used by many tasks "
    "at the same time"
)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    # Short: it is a part of the paths of sockets.
    with tempfile.TemporaryDirectory(prefix="hsu-t-") as folder:
        yield Config.from_text(f'{UNIT}[master]\nruntime_dir = "{folder}"', folder=tmp_path)


def left(config: Config) -> list[str]:
    """What masters have left behind."""
    assert config.master.runtime_dir is not None
    return os.listdir(config.master.runtime_dir)


async def test_a_start_that_is_cancelled_at_any_step_leaves_nothing(config: Config) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    entered = False
    steps = 0
    while not entered:
        master = Master(config)
        entering = asyncio.ensure_future(master.__aenter__())
        for _ in range(steps):
            await asyncio.sleep(0)
        entered = entering.done()
        entering.cancel()
        if entered:
            await master.__aexit__(None, None, None)
        else:
            with pytest.raises(asyncio.CancelledError):
                await entering
        assert [] == left(config)
        steps += 1
    # What ends badly is told when it is collected.
    gc.collect()
    assert steps > 2
    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert [] == complaints


async def test_a_master_that_runs_can_not_be_entered_again_and_goes_on(config: Config) -> None:
    master = Master(config)
    for _ in ("first", "after it was left"):
        async with master:
            with pytest.raises(RuntimeError) as refused:
                await master.__aenter__()
            assert TWICE == str(refused.value)
            assert 1 == len(left(config))
            assert "absent" == master.status()["u"].phase
        assert [] == left(config)


def test_a_blocking_master_that_runs_can_not_be_entered_again_and_goes_on(config: Config) -> None:
    master = BlockingMaster(config)
    for _ in ("first", "after it was left"):
        with master:
            with pytest.raises(RuntimeError) as refused, master:
                pass
            assert TWICE == str(refused.value)
            master.stop("u")
        assert [] == left(config)


async def test_a_master_that_could_not_start_can_be_entered_later(
    config: Config, tmp_path: Path
) -> None:
    taken = Address(path=str(tmp_path / "no" / "a"))
    master = Master(config, listen=[taken])
    with pytest.raises(AddressError, match="does not exist; create it"):
        await master.__aenter__()
    (tmp_path / "no").mkdir()
    async with master:
        assert taken == master.addresses[1]


def test_a_blocking_client_takes_an_interface(config: Config) -> None:
    wrong: Any = "hsu.a.v1.InterfaceA"
    with BlockingMaster(config) as master:
        with pytest.raises(TypeError) as refused:
            master.client(wrong)
        assert str(refused.value).startswith("'hsu.a.v1.InterfaceA' is no interface; pass the one")
        master.client(InterfaceA)


async def test_an_address_that_others_can_reach_has_to_be_allowed(
    config: Config, tmp_path: Path
) -> None:
    open_to_all = [Address.parse("tcp:0.0.0.0:0")]
    file = tmp_path / "hsu.toml"
    file.write_text(UNIT)
    for make in (partial(Master, config), partial(Master.from_file, file)):
        with pytest.raises(AddressError) as refused:
            make(listen=open_to_all)
        assert (
            "address tcp:0.0.0.0:0: others in the network could read and make calls; "
            "listen at tcp:127.0.0.1:0, or pass insecure_remote=True"
        ) == str(refused.value)
    async with Master(config, listen=open_to_all, insecure_remote=True) as master:
        assert master.addresses[1].host == "0.0.0.0"
