"""What an owner, an instance and a worker at an address owe to whoever has left or asks oddly."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from hsu_worker.errors import Dispatch, Unavailable
from hsu_worker.master.policy import Suspect
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import app, running, text
from tests.master.sim.fakes import House, virtual
from tests.master.test_attached import serves
from tests.worker.process import serving, write_service


@virtual
async def test_a_swap_holds_though_nobody_waits_for_it() -> None:
    async with House() as it:
        await it.call()
        swapped = replace(it.config, drain=7.0)
        swap = asyncio.create_task(it.unit.swap(swapped))
        await it.until(1.5)
        swap.cancel()
        await it.until(5.0)
        # What a swap without an app or a command repeats, and what the next generation is.
        assert swapped is it.unit.config
        await it.unit.restart()
        assert swapped is it.worker.unit


@virtual
async def test_a_start_of_a_unit_that_runs_waits_for_no_room_in_it() -> None:
    async with House(concurrency=1) as it:
        await it.call()
        call = asyncio.create_task(it.call(50.0))
        await it.until(2.0)
        assert 1 == await it.unit.start()
        assert 2.0 == it.now
        await call


@virtual
async def test_suspicions_that_were_wrong_leave_no_task_behind() -> None:
    async with House() as it:
        await it.call()
        instance = it.unit._instances[1]
        watching = len(instance._watching)
        for _ in range(10):
            it.unit._feed(Suspect(1))
            await it.call()
        assert watching == len(instance._watching)


async def test_a_stream_of_a_worker_at_an_address_ends_with_the_drain(tmp_path: Path) -> None:
    body = (
        "async def server_stream(self, request):\n    yield Answer()\n    await asyncio.sleep(1000)"
    )
    toml = text(f'address = "unix:{tmp_path}/w"', 'drain = "1500ms"')
    loop = asyncio.get_running_loop()
    arguments = (write_service(tmp_path, body), f"--listen=unix:{tmp_path}/w")
    async with serving(tmp_path, *arguments) as process, running(tmp_path, toml) as it:
        await serves(process)
        answers = it.kinds.server_stream(Ask())
        await anext(answers)
        began = loop.time()
        # Nobody reads the stream meanwhile.
        await it.master.stop("u")
        took = loop.time() - began
        with pytest.raises(Unavailable) as caught:
            async with asyncio.timeout(20):
                await anext(answers)

    assert Dispatch.YES is caught.value.dispatched
    assert took < 3.0, "the drain was waited for twice"


async def test_a_line_like_an_announcement_is_output_once_the_worker_is_known(
    tmp_path: Path,
) -> None:
    body = (
        "async def unary(self, request):\n    print(request.text, flush=True)\n    return Answer()"
    )
    async with running(tmp_path, text(app(tmp_path, body))) as it:
        await it.master.start("u")
        worker = it.master._units["u"].worker
        assert worker is not None
        assert worker.handshake is not None
        line = f"HSU 1 {worker.handshake.instance} is who I am"
        await it.kinds.unary(Ask(text=line), timeout=30)
        await it.master.stop("u")
        assert [line] == it.lines("stdout")


async def test_who_is_told_of_progress_and_raises_is_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    body = (
        "@lifespan\nasync def model(self):\n    report_progress(0.5, 'half')\n"
        "    await asyncio.sleep(0.1)\n    yield"
    )

    def raises(fraction: float, text: str) -> None:
        raise ValueError(f"{fraction} {text}")

    async with running(tmp_path, text(app(tmp_path, body))) as it:
        assert 1 == await it.master.start("u", on_progress=raises)
    [record] = [each for each in caplog.records if each.msg == "on_progress failed for %s"]
    assert record.exc_info is not None
    assert "0.5 half" == str(record.exc_info[1])
