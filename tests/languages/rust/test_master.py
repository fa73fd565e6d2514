"""The Rust HSU as a unit of a master of ours."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from hsu_a_service1.service import Summarizer
from hsu_a_service1.text import read_stop_words
from hsu_b_service1.store import Store

from hsu_worker.errors import InvalidArgument
from hsu_worker.gen.hsu_a import InterfaceA, SummarizeRequest
from hsu_worker.gen.hsu_b import (
    Document,
    GetStatsRequest,
    IngestRequest,
    InterfaceB,
    SearchRequest,
)
from hsu_worker.master import Config
from tests.examples.conftest import EXAMPLES
from tests.languages.rust.built import ROOT, WORKER
from tests.master.running import Running
from tests.until import until

TEXT = SummarizeRequest(text="Millers make flour. Flour makes bread. It rains.", sentences=2)
PYTHON_A = EXAMPLES / "hsu_a_service1"


@asynccontextmanager
async def running(
    folder: Path,
    *more: str,
    interfaces: tuple[str, ...] = (InterfaceA.name, InterfaceB.name),
) -> AsyncGenerator[Running, None]:
    """A master with the Rust HSU as unit `u`."""
    variables = f'PYTHONPATH = "{ROOT}:{PYTHON_A}", HSU_B_INDEX = "{folder}/index.sqlite3"'
    lines = (
        "[units.u]",
        f"command = {[str(WORKER)]}",
        f"implements = {list(interfaces)}",
        f"env = {{ {variables} }}",
        *more,
    )
    it = Running(Config.from_text("\n".join(lines), folder=folder))
    async with it.master:
        yield it


def pid(it: Running) -> int:
    """The process that calls go to."""
    found = it.master.status()["u"].pid
    assert found is not None
    return found


def language(it: Running) -> str:
    """What the process is that calls go to."""
    program = Path(f"/proc/{pid(it)}/exe").resolve()
    return "rust" if program == WORKER else "python"


async def test_one_process_answers_for_both_interfaces(tmp_path: Path) -> None:
    async with running(tmp_path, 'idle = "50ms"') as it:
        a, b = it.master.client(InterfaceA), it.master.client(InterfaceB)
        assert "absent" == it.master.status()["u"].phase
        reply = await a.summarize(TEXT, timeout=30)
        assert "Millers make flour. Flour makes bread." == reply.summary
        document = Document(id="a", title="Bread", text="Flour makes bread.")
        ingested = await b.ingest([IngestRequest(document=document)], timeout=30)
        assert 1 == ingested.added
        await it.event("stopped")
        [hit] = [hit async for hit in b.search(SearchRequest(query="FLOUR rye"), timeout=30)]
        assert ("a", "Bread", 1) == (hit.id, hit.title, hit.rank)
        assert 2 == len([chunk async for chunk in a.stream_summary(TEXT, timeout=30)])


async def test_its_records_are_in_the_units_log_and_it_prints_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.master.client(InterfaceA).summarize(TEXT, timeout=30)
        await until(lambda: any("running after" in line for line in it.lines("hsu.lifecycle")))
        await it.master.stop("u")
        await until(lambda: "left" in it.lines("hsu.serve"))
        assert ([], []) == (it.lines("stdout"), it.lines("stderr"))


async def test_killed_it_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        a = it.master.client(InterfaceA)
        await a.summarize(TEXT, timeout=30)
        os.kill(pid(it), signal.SIGKILL)
        exited = await it.event("exited")
        assert exited.crash is not None
        assert signal.SIGKILL == exited.crash.signal
        assert (await a.summarize(TEXT, timeout=30)).chunks


async def test_swaps_with_python_under_load_lose_no_call(tmp_path: Path) -> None:
    others = ["rust", "python", "rust", "python"]
    async with running(tmp_path, interfaces=(InterfaceA.name,)) as it:
        a = it.master.client(InterfaceA)
        totals: list[int] = []
        done = asyncio.Event()

        async def caller() -> None:
            while not done.is_set():
                reply = await a.summarize(TEXT, timeout=30)
                assert "Millers make flour. Flour makes bread." == reply.summary
                totals.append(reply.total_sentences)

        def more_than(count: int) -> bool:
            return len(totals) > count

        await it.master.swap("u", app="hsu_a_service1:App")
        languages = [language(it)]
        async with asyncio.TaskGroup() as callers:
            for _ in range(8):
                callers.create_task(caller())
            for other in others:
                if other == "python":
                    await it.master.swap("u", app="hsu_a_service1:App")
                else:
                    await it.master.swap("u", command=[str(WORKER)])
                languages.append(language(it))
                await until(partial(more_than, len(totals) + 20))
            done.set()
        assert ["python", *others] == languages
        assert [] == [event for event in it.told if event.kind in ("exited", "failed")]


def documents() -> list[Document]:
    """Real texts: this project's pages, and what Python says of itself."""
    import collect

    return collect.from_environment(lambda _remark: None)


async def test_it_finds_what_the_python_ones_find_in_real_texts(tmp_path: Path) -> None:
    python = Summarizer()
    python.stop_words = read_stop_words(python.path.read_text("utf-8").splitlines())
    texts = [each for each in documents() if len(each.text) < 20_000]
    assert len(texts) > 100
    async with running(tmp_path) as it:
        a, b = it.master.client(InterfaceA), it.master.client(InterfaceB)
        for document in texts:
            request = SummarizeRequest(text=document.text, sentences=1_000)
            try:
                expected = python.summarize(request)
            except InvalidArgument:
                continue
            actual = await a.summarize(request, timeout=30)
            assert expected.summary == actual.summary, document.id
            assert [c.rank for c in expected.chunks] == [c.rank for c in actual.chunks], document.id

        # The same file, read by both.
        await b.ingest([IngestRequest(document=each) for each in texts], timeout=60)
        store = Store(tmp_path / "index.sqlite3")
        stats = await b.get_stats(GetStatsRequest(), timeout=30)
        ours = store.stats()
        assert (ours.documents, ours.digest) == (stats.documents, stats.digest)
        for query in ("master worker", "well-known", "größe", "import"):
            found = [hit async for hit in b.search(SearchRequest(query=query), timeout=30)]
            theirs = [(hit.id, hit.snippet, hit.text) for hit in store.search(query.split(), 10)]
            assert theirs == [(hit.id, hit.snippet, hit.text) for hit in found], query
        store.close()
