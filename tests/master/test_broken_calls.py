"""A call whose worker ends under it says how it ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hsu_worker.errors import Dispatch, Unavailable
from hsu_worker.master import Master
from tests.gen.hsu_test_kinds import Ask, Kinds, KindsClient
from tests.master.running import app, running, text

CRASHING = (
    "async def unary(self, request):\n"
    "    print('about to fail')\n"
    "    {end}\n"
    "async def bidi(self, requests):\n"
    "    async for request in requests:\n"
    "        if request.text == 'end':\n"
    "            await self.unary(request)\n"
    "        yield Answer()"
)


async def answered_once(client: KindsClient) -> None:
    answered = asyncio.Event()

    async def asks() -> AsyncIterator[Ask]:
        yield Ask()
        await answered.wait()
        yield Ask(text="end")

    async for _ in client.bidi(asks(), timeout=30):
        answered.set()


@pytest.mark.parametrize("through_gateway", [False, True])
@pytest.mark.parametrize(
    ("call", "dispatched"),
    [
        (lambda client: client.unary(Ask(), timeout=30), Dispatch.UNKNOWN),
        (answered_once, Dispatch.YES),
    ],
)
async def test_a_call_whose_worker_ends_says_how_and_what_it_wrote_last(
    tmp_path: Path,
    call: Callable[[KindsClient], Any],
    dispatched: Dispatch,
    *,
    through_gateway: bool,
) -> None:
    toml = text(app(tmp_path, CRASHING.format(end="os._exit(9)")))
    async with running(tmp_path, toml) as it, Master.connect(str(it.master.address)) as remote:
        client = remote.client(Kinds) if through_gateway else it.kinds
        with pytest.raises(Unavailable) as caught:
            await call(client)

    ended, _, output = caught.value.message.partition("; its last output:\n")
    assert "unit 'u': the worker ended: exit code 9" == ended
    assert "    about to fail" in output.splitlines()
    assert dispatched is caught.value.dispatched


async def test_a_call_whose_worker_is_killed_names_the_signal(tmp_path: Path) -> None:
    toml = text(app(tmp_path, CRASHING.format(end="os.kill(os.getpid(), 11)")))
    async with running(tmp_path, toml) as it:
        with pytest.raises(Unavailable) as caught:
            await it.kinds.unary(Ask(), timeout=30)

    assert caught.value.message.startswith("unit 'u': the worker ended: killed by SIGSEGV; ")
