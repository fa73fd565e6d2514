"""The Node HSU as a unit of a master of ours."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from google.rpc.error_details_pb2 import BadRequest

from hsu_worker.errors import Dispatch, InvalidArgument
from hsu_worker.gen.hsu_a import InterfaceA, InterfaceAClient, SummarizeRequest
from hsu_worker.master import Config
from tests.languages.node.built import EXAMPLES, ROOT, WORKER
from tests.master.running import Running
from tests.until import until

TEXT = SummarizeRequest(text="Millers make flour. Flour makes bread. It rains.", sentences=2)
PYTHON_A = EXAMPLES / "hsu_a_service1"


@asynccontextmanager
async def running(folder: Path, *more: str) -> AsyncGenerator[Running, None]:
    """A master with the Node HSU as unit `u`."""
    lines = (
        "[units.u]",
        f"command = {list(WORKER)}",
        f'implements = ["{InterfaceA.name}"]',
        f'env = {{ PYTHONPATH = "{ROOT}:{PYTHON_A}" }}',
        *more,
    )
    it = Running(Config.from_text("\n".join(lines), folder=folder))
    async with it.master:
        yield it


def client(it: Running) -> InterfaceAClient:
    return it.master.client(InterfaceA)


def pid(it: Running) -> int:
    """The process that calls go to."""
    found = it.master.status()["u"].pid
    assert found is not None
    return found


def language(it: Running) -> str:
    """What the process is that calls go to."""
    return "node" if "node" in os.readlink(f"/proc/{pid(it)}/exe") else "python"


async def test_it_starts_when_it_is_called_and_stops_when_nobody_needs_it(tmp_path: Path) -> None:
    async with running(tmp_path, 'idle = "50ms"') as it:
        assert "absent" == it.master.status()["u"].phase
        reply = await client(it).summarize(TEXT, timeout=30)
        assert "Millers make flour. Flour makes bread." == reply.summary
        await it.event("stopped")
        assert 2 == len([c async for c in client(it).stream_summary(TEXT, timeout=30)])
        assert 2 == it.master.status()["u"].generation


async def test_what_is_wrong_with_a_text_reaches_the_caller(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        with pytest.raises(InvalidArgument, match="text: it is empty") as raised:
            await client(it).summarize(SummarizeRequest(), timeout=30)
        assert Dispatch.YES == raised.value.dispatched
        [detail] = raised.value.details
        assert isinstance(detail, BadRequest)
        assert [("text", "it is empty")] == [
            (each.field, each.description) for each in detail.field_violations
        ]


async def test_its_records_and_its_output_are_in_the_units_log(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await client(it).summarize(TEXT, timeout=30)
        await until(lambda: any("running after" in line for line in it.lines("hsu-a-node")))
        await it.master.stop("u")
        await until(lambda: "left" in it.lines("hsu-a-node"))
        assert ([], []) == (it.lines("stdout"), it.lines("stderr"))


async def test_killed_it_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await client(it).summarize(TEXT, timeout=30)
        os.kill(pid(it), signal.SIGKILL)
        exited = await it.event("exited")
        assert exited.crash is not None
        assert signal.SIGKILL == exited.crash.signal
        assert (await client(it).summarize(TEXT, timeout=30)).chunks


async def test_swaps_between_python_and_node_under_load_lose_no_call(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        totals: list[int] = []
        done = asyncio.Event()

        async def caller() -> None:
            while not done.is_set():
                reply = await client(it).summarize(TEXT, timeout=30)
                assert "Millers make flour. Flour makes bread." == reply.summary
                totals.append(reply.total_sentences)

        def more_than(count: int) -> bool:
            return len(totals) > count

        await it.master.swap("u", app="hsu_a_service1:App")
        languages = [language(it)]
        async with asyncio.TaskGroup() as callers:
            for _ in range(8):
                callers.create_task(caller())
            for round_ in range(4):
                await until(partial(more_than, len(totals) + 20))
                if round_ % 2:
                    await it.master.swap("u", app="hsu_a_service1:App")
                else:
                    await it.master.swap("u", command=list(WORKER))
                languages.append(language(it))
            await until(partial(more_than, len(totals) + 20))
            done.set()
        assert ["python", "node", "python", "node", "python"] == languages
        assert [] == [event for event in it.told if event.kind in ("exited", "failed")]
