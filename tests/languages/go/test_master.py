"""The Go HSU as a unit of a master of ours."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from hsu_a_service1.service import Summarizer
from hsu_a_service1.text import read_stop_words

from hsu_worker.errors import InvalidArgument
from hsu_worker.gen.hsu_a import InterfaceA, InterfaceAClient, SummarizeRequest
from hsu_worker.gen.hsu_b import Document
from hsu_worker.master import Config
from tests.examples.conftest import EXAMPLES
from tests.languages.go.built import ROOT, WORKER
from tests.master.running import Running
from tests.until import until

TEXT = SummarizeRequest(text="Millers make flour. Flour makes bread. It rains.", sentences=2)
PYTHON_A = EXAMPLES / "hsu_a_service1"


@asynccontextmanager
async def running(folder: Path, *more: str) -> AsyncGenerator[Running, None]:
    """A master with the Go HSU as unit `u`."""
    lines = (
        "[units.u]",
        f'command = ["{WORKER}"]',
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
    return "go" if Path(f"/proc/{pid(it)}/exe").resolve() == WORKER else "python"


async def test_it_starts_when_it_is_called_and_stops_when_nobody_needs_it(tmp_path: Path) -> None:
    async with running(tmp_path, 'idle = "50ms"') as it:
        assert "absent" == it.master.status()["u"].phase
        reply = await client(it).summarize(TEXT, timeout=30)
        assert "Millers make flour. Flour makes bread." == reply.summary
        await it.event("stopped")
        assert 2 == len([c async for c in client(it).stream_summary(TEXT, timeout=30)])
        assert 2 == it.master.status()["u"].generation


async def test_its_records_and_its_output_are_in_the_units_log(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await client(it).summarize(TEXT, timeout=30)
        await until(lambda: any("running after" in line for line in it.lines("hsu-a-service")))
        await it.master.stop("u")
        await until(lambda: "left" in it.lines("hsu-a-service"))
        assert ([], []) == (it.lines("stdout"), it.lines("stderr"))


async def test_killed_it_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await client(it).summarize(TEXT, timeout=30)
        os.kill(pid(it), signal.SIGKILL)
        exited = await it.event("exited")
        assert exited.crash is not None
        assert signal.SIGKILL == exited.crash.signal
        assert (await client(it).summarize(TEXT, timeout=30)).chunks


async def test_told_to_leave_from_outside_it_leaves_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await client(it).summarize(TEXT, timeout=30)
        os.kill(pid(it), signal.SIGTERM)
        await until(lambda: "left" in it.lines("hsu-a-service"))
        await it.event("exited")
        assert (await client(it).summarize(TEXT, timeout=30)).chunks


async def test_swaps_between_go_and_python_under_load_lose_no_call(tmp_path: Path) -> None:
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

        await client(it).summarize(TEXT, timeout=30)
        languages: list[str] = []
        async with asyncio.TaskGroup() as callers:
            for _ in range(8):
                callers.create_task(caller())
            for round_ in range(6):
                if round_ % 2:
                    await it.master.swap("u", command=[str(WORKER)])
                else:
                    await it.master.swap("u", app="hsu_a_service1:App")
                languages.append(language(it))
                await until(partial(more_than, len(totals) + 20))
            done.set()
        assert ["python", "go"] * 3 == languages
        assert [] == [event for event in it.told if event.kind in ("exited", "failed")]


def documents() -> list[Document]:
    """Real texts: this project's pages, and what Python says of itself."""
    import collect

    return collect.from_environment(lambda _remark: None)


async def test_it_finds_what_the_python_one_finds_in_real_texts(tmp_path: Path) -> None:
    python = Summarizer()
    python.stop_words = read_stop_words(python.path.read_text("utf-8").splitlines())
    texts = [each for each in documents() if len(each.text) < 20_000]
    assert len(texts) > 100
    async with running(tmp_path) as it:
        for document in texts:
            request = SummarizeRequest(text=document.text, sentences=1_000)
            try:
                expected = python.summarize(request)
            except InvalidArgument:
                continue
            actual = await client(it).summarize(request, timeout=30)
            assert expected.summary == actual.summary, document.id
            assert [c.rank for c in expected.chunks] == [c.rank for c in actual.chunks], document.id


def test_it_leaves_out_the_same_words() -> None:
    """Go takes no file from outside of a module's folder into a program."""
    ours = PYTHON_A / "hsu_a_service1" / "stopwords.txt"
    assert ours.read_text() == (EXAMPLES / "go" / "hsu_a_service" / "stopwords.txt").read_text()
