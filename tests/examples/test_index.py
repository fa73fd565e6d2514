import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest
from hsu_b_service1 import schema
from hsu_b_service1.service import MAX_DOCUMENT, Index, default_path
from hsu_b_service1.spool import Spool
from hsu_b_service1.store import Changes

from hsu_worker import InvalidArgument, Unavailable
from hsu_worker.gen.hsu_b import (
    Document,
    GetStatsRequest,
    IngestRequest,
    IngestResponse,
    InterfaceB,
    InterfaceBClient,
    SearchRequest,
)
from hsu_worker.testing import running
from hsu_worker.wire.address import Address
from hsu_worker.wire.connection import Connection
from tests.examples.conftest import EXAMPLES
from tests.until import until


@asynccontextmanager
async def an_index(path: Path) -> AsyncGenerator[InterfaceBClient, None]:
    async with running(Index(path / "index.sqlite3")) as worker:
        yield worker.client(InterfaceB)


def one(id_: str, text: str = "dough rises") -> IngestRequest:
    return IngestRequest(document=Document(id=id_, title=f"About {id_}", text=text))


async def ids(client: InterfaceBClient, query: str) -> set[str]:
    return {hit.id async for hit in client.search(SearchRequest(query=query))}


async def documents(client: InterfaceBClient) -> int:
    return (await client.get_stats(GetStatsRequest())).documents


class HalfAStream:
    """Sends one document, and then nothing until it is told to go on."""

    def __init__(self, *rest: IngestRequest) -> None:
        self.stalled = asyncio.Event()
        self.go_on = asyncio.Event()
        self.rest = rest

    async def __aiter__(self) -> AsyncIterator[IngestRequest]:
        yield one("half")
        self.stalled.set()
        await self.go_on.wait()
        for request in self.rest:
            yield request


@contextmanager
def another_writer(path: Path) -> Generator[None, None, None]:
    """Hold the index's write lock, as another process would that writes to it."""
    with closing(sqlite3.connect(path / "index.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_documents_go_in_and_hits_come_out(tmp_path: Path) -> None:
    async with an_index(tmp_path) as client:
        assert IngestResponse(added=2) == await client.ingest(
            [one("bread"), one("mill", "wheat becomes flour")]
        )
        assert IngestResponse(added=1, replaced=1, unchanged=1) == await client.ingest(
            [one("bread"), one("mill", "flour and water"), one("oven", "water boils")]
        )
        hits = [hit async for hit in client.search(SearchRequest(query="flour, water!"))]
        assert [(1, "mill"), (2, "oven")] == [(hit.rank, hit.id) for hit in hits]
        assert hits[0].score > hits[1].score
        assert ("About mill", "flour and water", "flour and water") == (
            hits[0].title,
            hits[0].snippet,
            hits[0].text,
        )
        assert 1 == len([hit async for hit in client.search(SearchRequest(query="water", limit=1))])
        stats = await client.get_stats(GetStatsRequest())
        assert (3, 37) == (stats.documents, stats.text_bytes)


@pytest.mark.parametrize(
    ("query", "limit", "field", "problem"),
    [
        ("", 0, "query", "it holds no word"),
        (" \n\0", 0, "query", "it holds no word"),
        ('"*" - ()', 0, "query", "it holds no word"),
        (" ".join(map(str, range(65))), 0, "query", "65 different words, 64 are possible"),
        ("bread", 1001, "limit", "1001 hits, 1000 are possible"),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused_with_the_field(
    tmp_path: Path, query: str, limit: int, field: str, problem: str
) -> None:
    async with an_index(tmp_path) as client:
        with pytest.raises(InvalidArgument) as refused:
            [hit async for hit in client.search(SearchRequest(query=query, limit=limit))]
    violation = BadRequest.FieldViolation(field=field, description=problem)
    assert f"{field}: {problem}" == refused.value.message
    assert (BadRequest(field_violations=[violation]),) == refused.value.details


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (IngestRequest(), "document.id: empty in message 2 of the stream"),
        (one(""), "document.id: empty in message 2 of the stream"),
        (one("mill", ""), "document.text: empty in 'mill'"),
        (
            one("mill", "x" * MAX_DOCUMENT),
            f"document: 'mill' has {MAX_DOCUMENT + 23} bytes, {MAX_DOCUMENT} are possible; cut it up",
        ),
    ],
)
async def test_a_stream_with_a_wrong_document_is_refused_as_a_whole(
    tmp_path: Path, wrong: IngestRequest, message: str
) -> None:
    async with an_index(tmp_path) as client:
        with pytest.raises(InvalidArgument) as refused:
            await client.ingest([one("bread"), wrong, one("oven")])
        assert message == refused.value.message
        assert 0 == await documents(client)


async def test_the_longest_document_comes_back_whole(tmp_path: Path) -> None:
    text = "dough " + "x" * (MAX_DOCUMENT - 100)
    async with an_index(tmp_path) as client:
        await client.ingest([one("long", text)])
        [hit] = [hit async for hit in client.search(SearchRequest(query="dough"))]
        assert text == hit.text


async def test_a_stream_that_the_caller_cancels_half_way_leaves_nothing(tmp_path: Path) -> None:
    async with an_index(tmp_path) as client:
        await client.ingest([one("bread")])
        half = HalfAStream()
        call = asyncio.create_task(client.ingest(half))
        await half.stalled.wait()
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        assert {"bread"} == await ids(client, "dough")
        # The only writer is free.
        assert IngestResponse(added=1) == await client.ingest([one("half")])


async def test_a_stream_whose_source_raises_leaves_nothing(tmp_path: Path) -> None:
    async def source() -> AsyncIterator[IngestRequest]:
        yield one("bread")
        raise LookupError("no more")

    async with an_index(tmp_path) as client:
        with pytest.raises(LookupError, match="no more"):
            await client.ingest(source())
        assert 0 == await documents(client)


async def test_a_stream_that_stalls_holds_up_nobody(tmp_path: Path) -> None:
    async with an_index(tmp_path) as client:
        stalled = [HalfAStream(one(f"rest {i}")) for i in range(12)]
        calls = [asyncio.create_task(client.ingest(half)) for half in stalled]
        await asyncio.gather(*(half.stalled.wait() for half in stalled))
        assert IngestResponse(added=1) == await client.ingest([one("bread")])
        assert {"bread"} == await ids(client, "dough")
        for half in stalled:
            half.go_on.set()
        replies = await asyncio.gather(*calls)
        assert [1] * 12 == sorted(reply.added + reply.unchanged - 1 for reply in replies)
        assert 14 == await documents(client)


class Watched(Index):
    """Knows the tasks that write."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writing: list[asyncio.Task[Any]] = []

    async def _write(self, spool: Spool) -> Changes:
        task = asyncio.current_task()
        assert task is not None
        self.writing.append(task)
        return await super()._write(spool)


async def test_a_write_that_waits_for_another_process_can_be_cancelled(tmp_path: Path) -> None:
    index = Watched(tmp_path / "index.sqlite3")
    async with running(index) as worker:
        client = worker.client(InterfaceB)
        with another_writer(tmp_path):
            calls = [asyncio.create_task(client.ingest([one(id_)])) for id_ in ("first", "second")]
            await until(lambda: 2 == len(index.writing))
            assert set() == await ids(client, "dough")
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            # The worker hears of it a moment later, and the lock must not be free before that.
            await until(lambda: all(task.cancelling() for task in index.writing))
            await asyncio.sleep(0)
        assert IngestResponse(added=1) == await client.ingest([one("third")])
        assert {"third"} == await ids(client, "dough")


async def test_a_lock_that_another_process_keeps_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    async with an_index(tmp_path) as client:
        with another_writer(tmp_path), pytest.raises(Unavailable) as refused:
            await client.ingest([one("bread")])
        assert "another process is writing to the index; try again" == refused.value.message
        assert IngestResponse(added=1) == await client.ingest([one("bread")])


async def test_a_long_stream_goes_through_a_file_and_leaves_none(tmp_path: Path) -> None:
    async with an_index(tmp_path) as client:
        reply = await client.ingest(one(str(i), "dough " * 50_000) for i in range(10))
        assert IngestResponse(added=10) == reply
        assert ["index.sqlite3", "index.sqlite3-shm", "index.sqlite3-wal"] == sorted(
            os.listdir(tmp_path)
        )
    assert ["index.sqlite3"] == os.listdir(tmp_path)


def test_the_index_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HSU_B_INDEX", str(tmp_path / "here"))
    assert tmp_path / "here" == default_path() == Index().path
    monkeypatch.setenv("HSU_B_INDEX", "")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert tmp_path / "hsu-b-service1" / "index.sqlite3" == default_path()
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / ".local" / "state" / "hsu-b-service1" / "index.sqlite3" == default_path()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert tmp_path / "Library" / "Application Support" in default_path().parents


@asynccontextmanager
async def a_process(folder: Path) -> AsyncGenerator[tuple[InterfaceBClient, int], None]:
    """`hsu-worker serve hsu_b_service1:App` as a user types it, in the example's folder."""
    address = Address(path=str(folder / "b.sock"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hsu_worker", "serve", "hsu_b_service1:App"),
        *("--listen", str(address)),
        cwd=EXAMPLES / "hsu_b_service1",
        env={**os.environ, "HSU_B_INDEX": str(folder / "index.sqlite3")},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line.startswith(b"serving hsu.b.v1.InterfaceB at "), line
    connection = Connection.open(address)
    try:
        yield InterfaceBClient(connection), process.pid
    finally:
        await connection.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_kill_9_between_two_streams_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    async with a_process(tmp_path) as (client, pid):
        assert IngestResponse(added=100) == await client.ingest(one(f"a{i}") for i in range(100))
        os.kill(pid, 9)
    async with a_process(tmp_path) as (client, pid):
        assert 100 == await documents(client)
        assert IngestResponse(added=1, unchanged=1) == await client.ingest([one("a0"), one("b")])
        os.kill(pid, 9)
    async with an_index(tmp_path) as client:
        assert 101 == await documents(client)
        assert {"b"} == await ids(client, "b")


async def test_kill_9_within_a_stream_leaves_nothing_of_it(tmp_path: Path) -> None:
    async with a_process(tmp_path) as (client, pid):
        await client.ingest([one("bread")])
        half = HalfAStream()
        call = asyncio.create_task(client.ingest(half))
        await half.stalled.wait()
        os.kill(pid, 9)
        with pytest.raises(Unavailable):
            await call
    async with an_index(tmp_path) as client:
        assert {"bread"} == await ids(client, "dough")
        assert IngestResponse(added=1) == await client.ingest([one("half")])
