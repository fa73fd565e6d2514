"""Interface B: documents in, hits out."""

import asyncio
import errno
import os
import sqlite3
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from google.rpc.error_details_pb2 import BadRequest

from hsu_b_service1.spool import Spool
from hsu_b_service1.store import Changes, Store
from hsu_worker import (
    InvalidArgument,
    Requests,
    ResourceExhausted,
    Unavailable,
    implements,
    lifespan,
)
from hsu_worker.gen.hsu_b import (
    Document,
    GetStatsRequest,
    GetStatsResponse,
    IngestRequest,
    IngestResponse,
    InterfaceB,
    SearchRequest,
    SearchResponse,
)

#: A document's bytes at the most: it has to fit into the answer of a search, 4 MiB, with its snippet.
MAX_DOCUMENT = (4 << 20) - (16 << 10)

#: Different words of one query, and hits of one search, at the most.
MAX_WORDS = 64
MAX_LIMIT = 1_000

#: Hits when the request doesn't say.
DEFAULT_LIMIT = 10


@implements(InterfaceB)
class Index:
    """Keeps documents in one SQLite file.

    Args:
        path: The file. Without it: what HSU_B_INDEX says, or a file in the user's state folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()

    @lifespan
    def opened(self) -> Iterator[None]:
        # One thread writes, so streams queue without holding a lock or a thread of the pool.
        with (
            closing(Store(self.path)) as self.store,
            ThreadPoolExecutor(1, thread_name_prefix="index-writer") as self.writer,
        ):
            yield

    async def ingest(self, requests: Requests[IngestRequest]) -> IngestResponse:
        """Take the whole stream first, then write it in one transaction.

        A client that stalls or breaks half-way has then neither held up others nor left anything.
        """
        with _storage_errors(), Spool(self.path.parent) as spool:
            place = 0
            async for request in requests:
                place += 1
                _check(request.document, place)
                await spool.add(request.document)
            changes = await self._write(spool)
        return IngestResponse(
            added=changes.added, replaced=changes.replaced, unchanged=changes.unchanged
        )

    async def _write(self, spool: Spool) -> Changes:
        unwanted = threading.Event()
        job = self.writer.submit(self._write_now, spool, unwanted)
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            # The spool must outlive the thread that reads it; a job that still waits is dropped.
            unwanted.set()
            if not job.cancel():
                await asyncio.wait([done])
            raise

    def _write_now(self, spool: Spool, unwanted: threading.Event) -> Changes:
        return self.store.write(spool.documents(), lambda: not unwanted.is_set())

    def search(self, request: SearchRequest) -> Iterator[SearchResponse]:
        words = _words(request.query)
        if request.limit > MAX_LIMIT:
            raise _bad("limit", f"{request.limit} hits, {MAX_LIMIT} are possible")
        with _storage_errors():
            hits = self.store.search(words, request.limit or DEFAULT_LIMIT)
            for rank, hit in enumerate(hits, start=1):
                yield SearchResponse(
                    rank=rank,
                    id=hit.id,
                    title=hit.title,
                    snippet=hit.snippet,
                    score=hit.score,
                    text=hit.text,
                )

    def get_stats(self, request: GetStatsRequest) -> GetStatsResponse:
        with _storage_errors():
            stats = self.store.stats()
        return GetStatsResponse(
            documents=stats.documents, text_bytes=stats.text_bytes, digest=stats.digest
        )


def default_path() -> Path:
    """What HSU_B_INDEX says, or a file in the folder where the system keeps a user's data."""
    if given := os.environ.get("HSU_B_INDEX"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        folder = Path("~/Library/Application Support").expanduser()
    else:
        folder = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    return folder / "hsu-b-service1" / "index.sqlite3"


def _check(document: Document, place: int) -> None:
    if not document.id:
        raise _bad("document.id", f"empty in message {place} of the stream")
    if not document.text:
        raise _bad("document.text", f"empty in {document.id[:80]!r}")
    if (size := document.ByteSize()) > MAX_DOCUMENT:
        raise _bad(
            "document",
            f"{document.id[:80]!r} has {size} bytes, {MAX_DOCUMENT} are possible; cut it up",
        )


def _words(query: str) -> list[str]:
    # What separates words is white space and the NUL, at which SQLite would stop reading.
    words = [word for word in query.replace("\0", " ").split() if any(map(str.isalnum, word))]
    words = list(dict.fromkeys(words))
    if not words:
        raise _bad("query", "it holds no word")
    if len(words) > MAX_WORDS:
        raise _bad("query", f"{len(words)} different words, {MAX_WORDS} are possible")
    return words


def _bad(field: str, problem: str) -> InvalidArgument:
    violation = BadRequest.FieldViolation(field=field, description=problem)
    return InvalidArgument(
        f"{field}: {problem}", details=[BadRequest(field_violations=[violation])]
    )


@contextmanager
def _storage_errors() -> Generator[None, None, None]:
    """What the caller or the operator can do something about gets a status of its own."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Unavailable("another process is writing to the index; try again") from error
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            raise ResourceExhausted("the disk with the index is full") from error
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted("the disk with the index is full") from error
        raise
