"""Another implementation takes a unit's place, and no call notices."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from hsu_worker.errors import ConfigError, FailedPrecondition, Unavailable
from tests.gen.hsu_test_kinds import Ask
from tests.master.running import app, processes_in, running, text
from tests.until import until

OTHER = """
from hsu_worker import *
from tests.gen.hsu_test_kinds import *
import os, time, asyncio

{before}

@implements(Kinds)
class Service:
    async def unary(self, request):
        return Answer(text="{name}")
    async def client_stream(self, requests):
        return Answer()
    async def server_stream(self, request):
        yield Answer()
    async def bidi(self, requests):
        yield Answer()
"""

NAMED = """async def unary(self, request):
    return Answer(text="old")"""


def other(folder: Path, name: str, *, before: str = "") -> str:
    (folder / f"{name}.py").write_text(OTHER.format(name=name, before=before))
    return f"{name}:Service"


def _more_than(answers: list[str], count: int) -> bool:
    return len(answers) > count


async def test_swaps_under_load_lose_no_call(tmp_path: Path) -> None:
    app_line = app(tmp_path, NAMED)
    names = ["one", "two"]
    for name in names:
        other(tmp_path, name)
    async with running(tmp_path, text(app_line)) as it:
        answers: list[str] = []
        done = asyncio.Event()

        async def caller() -> None:
            while not done.is_set():
                answers.append((await it.kinds.unary(Ask(), timeout=30)).text)

        await it.kinds.unary(Ask(), timeout=30)
        callers = [asyncio.create_task(caller()) for _ in range(12)]
        for round_ in range(10):
            name = names[round_ % 2]
            assert round_ + 2 == await it.master.swap("u", app=f"{name}:Service")
            # The old one is gone: from here on nobody but the new one answers.
            since = len(answers)
            await until(partial(_more_than, answers, since + 20))
            assert {name} == set(answers[since + 12 :])
            assert 1 == len(processes_in(tmp_path))
        done.set()
        await asyncio.gather(*callers)
        assert [] == [event for event in it.told if event.kind in ("exited", "failed")]


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("os._exit(4)", "exit code 4"),
        ("while True: time.sleep(0.1)", "start timeout: no announce line for 1 s"),
    ],
)
async def test_one_that_does_not_come_up_leaves_the_old_one_serving(
    tmp_path: Path, before: str, reason: str
) -> None:
    async with running(tmp_path, text(app(tmp_path, NAMED), 'stall = "1s"')) as it:
        await it.kinds.unary(Ask(), timeout=30)
        swap = asyncio.create_task(it.master.swap("u", app=other(tmp_path, "bad", before=before)))
        await it.event("swapping")
        while not swap.done():
            assert "old" == (await it.kinds.unary(Ask(), timeout=30)).text
        with pytest.raises(FailedPrecondition) as caught:
            await swap
        failed = await it.event("swap failed")
        await until(lambda: len(processes_in(tmp_path)) == 1)
        assert ("ready", 1) == (it.master.status()["u"].phase, len(processes_in(tmp_path)))
        # What was refused is forgotten: the next one may come.
        assert 3 == await it.master.swap("u", app=other(tmp_path, "good"))
        assert "good" == (await it.kinds.unary(Ask(), timeout=30)).text

    assert reason in caught.value.message
    assert caught.value.message == failed.detail


async def test_one_that_lacks_a_method_is_refused(tmp_path: Path) -> None:
    app_line = app(tmp_path, NAMED)
    lacking = app_line.replace("mysvc", "lacking")
    source = (tmp_path / "mysvc.py").read_text()
    (tmp_path / "lacking.py").write_text(source + REMOVE)
    async with running(tmp_path, text(app_line)) as it:
        await it.kinds.unary(Ask(), timeout=30)
        with pytest.raises(FailedPrecondition) as caught:
            await it.master.swap("u", app=lacking.split('"')[1])
        assert "old" == (await it.kinds.unary(Ask(), timeout=30)).text

    assert "hsu.test.v1.Kinds/Bidi is missing" in caught.value.message


async def test_one_that_lacks_only_what_nobody_calls_takes_the_place(tmp_path: Path) -> None:
    app_line = app(tmp_path, NAMED)
    (tmp_path / "both.py").write_text(ALSO_A)
    lines = text(app_line).replace("mysvc:Service", "both:app")
    async with running(tmp_path, lines) as it:
        await it.kinds.unary(Ask(), timeout=30)
        assert 2 == await it.master.swap("u", app="mysvc:Service")
        assert "old" == (await it.kinds.unary(Ask(), timeout=30)).text


#: A worker that offers more than the unit implements.
ALSO_A = """
from mysvc import *
from hsu_worker.gen.hsu_a import *

@implements(InterfaceA)
class A:
    async def summarize(self, request):
        return SummarizeResponse()
    async def stream_summary(self, request):
        yield SummaryChunk()

app = App(Service(), A())
"""


#: A worker whose handshake tells one method less.
REMOVE = """
from hsu_worker.worker.core import CoreService
told = CoreService.handshake
async def handshake(self, request):
    answer = await told(self, request)
    for info in answer.interfaces:
        kept = [m for m in info.methods if m.name != "Bidi"]
        del info.methods[:]
        info.methods.extend(kept)
    return answer
CoreService.handshake = handshake
"""


async def test_a_stream_past_the_drain_deadline_ends_with_a_clear_status(tmp_path: Path) -> None:
    app_line = app(tmp_path, NAMED)
    async with running(tmp_path, text(app_line, 'drain = "200ms"')) as it:
        never = asyncio.Event()

        async def requests() -> AsyncIterator[Ask]:
            yield Ask(text="first")
            await never.wait()

        answers = it.kinds.bidi(requests(), timeout=60)
        assert "first" == (await anext(answers)).text
        swap = asyncio.create_task(it.master.swap("u", app=other(tmp_path, "new")))
        with pytest.raises(Unavailable) as caught:
            await anext(answers)
        assert 2 == await swap
        assert "new" == (await it.kinds.unary(Ask(), timeout=30)).text

    assert "yes" == caught.value.dispatched
    assert "the worker is leaving" in caught.value.message


async def test_what_can_not_be_swapped_is_said(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path))) as it:
        with pytest.raises(ConfigError, match="an app or a command, not both"):
            await it.master.swap("u", app="a:B", command=["c"])
        with pytest.raises(ConfigError, match="expected an import string"):
            await it.master.swap("u", app="a:")
        with pytest.raises(ConfigError) as caught:
            await it.master.swap("v", app="a:B")

    assert "there is no unit 'v'; configured: u" == str(caught.value)


async def test_an_absent_unit_is_swapped_too(tmp_path: Path) -> None:
    async with running(tmp_path, text(app(tmp_path, NAMED))) as it:
        assert 1 == await it.master.swap("u", app=other(tmp_path, "new"))
        assert "new" == (await it.kinds.unary(Ask(), timeout=30)).text
        assert 1 == it.master.status()["u"].generation
        # Without another one it is the same again.
        assert 2 == await it.master.swap("u")
        assert "new" == (await it.kinds.unary(Ask(), timeout=30)).text
