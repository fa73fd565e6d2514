"""The index itself: documents in SQLite, their words in FTS5, ranked by BM25."""

import hashlib
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hsu_b_service1.schema import connect, prepare
from hsu_worker.gen.hsu_b import Document

#: Words of the text around a hit.
SNIPPET_WORDS = 24

#: Characters of a snippet at the most, for texts whose words have no end.
SNIPPET_LENGTH = 400

_SEARCH = """
SELECT documents.key, documents.id, documents.title, -words.rank,
       snippet(words, 1, '', '', '…', ?)
FROM words JOIN documents ON documents.key = words.rowid
WHERE words MATCH ? ORDER BY words.rank LIMIT ?
"""

_KEEP = """
INSERT INTO documents (id, digest, text_bytes, title, text) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, text_bytes = excluded.text_bytes,
                               title = excluded.title, text = excluded.text
"""


class Unwanted(Exception):
    """Nobody waits any more for what was being written."""


@dataclass(slots=True)
class Changes:
    """What a write changed; each document is counted once each time it comes."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """One document that was found."""

    id: str
    title: str
    text: str
    snippet: str
    score: float


@dataclass(frozen=True, slots=True)
class Stats:
    """What the index holds."""

    documents: int
    text_bytes: int
    digest: str


class Store:
    """One index file.

        with closing(Store(path)) as store:
            store.write([Document(id="a", title="Bread", text="Dough rises.")])
            [hit] = store.search(["dough"], limit=10)

    `write` is for one thread at a time; the others for any number, also while it writes.

    Raises:
        IndexUnusable: The file can't be made or opened, or it is something else.
    """

    def __init__(self, path: Path) -> None:
        prepare(path)
        self.path = path
        self._writer = connect(path)
        # The log may grow for a long transaction; afterwards it shrinks again.
        self._writer.execute(f"PRAGMA journal_size_limit = {64 << 20}")

    def close(self) -> None:
        self._writer.close()

    def write(
        self, documents: Iterable[Document], wanted: Callable[[], bool] = lambda: True
    ) -> Changes:
        """Add or replace documents: all of them are on the disk when this returns, or none is kept.

        Raises:
            Unwanted: `wanted` said no, and nothing is kept.
        """
        changes = Changes()
        with self._transaction():
            for document in documents:
                if not wanted():
                    raise Unwanted
                self._keep(document, changes)
            # The last look: what is committed stays.
            if not wanted():
                raise Unwanted
        return changes

    def _keep(self, document: Document, changes: Changes) -> None:
        text = document.text.encode()
        digest = hashlib.sha256(document.title.encode() + b"\0" + text).hexdigest()
        before = self._writer.execute(
            "SELECT digest FROM documents WHERE id = ?", (document.id,)
        ).fetchone()
        if before == (digest,):
            changes.unchanged += 1
            return
        self._writer.execute(_KEEP, (document.id, digest, len(text), document.title, document.text))
        if before is None:
            changes.added += 1
        else:
            changes.replaced += 1

    @contextmanager
    def _transaction(self) -> Generator[None, None, None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            # Some errors, such as a full disk, have rolled it back already.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def search(self, words: Iterable[str], limit: int) -> Iterator[Hit]:
        """The documents that have at least one of the words, best first."""
        with closing(self._reader()) as reader:
            # All at once, and only then the long texts one by one: a caller that takes its time
            # holds no snapshot, for which the log would have to grow. The text of a document that
            # is replaced meanwhile is the new one.
            found = reader.execute(_SEARCH, (SNIPPET_WORDS, any_of(words), limit)).fetchall()
            for key, id_, title, score, snippet in found:
                (text,) = reader.execute(
                    "SELECT text FROM documents WHERE key = ?", (key,)
                ).fetchone()
                short = " ".join(snippet.split())[:SNIPPET_LENGTH]
                yield Hit(id=id_, title=title, text=text, snippet=short, score=score)

    def stats(self) -> Stats:
        documents = text_bytes = 0
        digest = hashlib.sha256()
        with closing(self._reader()) as reader:
            # SQLite compares text bytewise, as the digest wants it.
            rows: Iterable[tuple[str, str, int]] = reader.execute(
                "SELECT id, digest, text_bytes FROM documents ORDER BY id"
            )
            for id_, document_digest, size in rows:
                documents += 1
                text_bytes += size
                digest.update(f"{id_}\n{document_digest}\n".encode())
        return Stats(documents, text_bytes, digest.hexdigest())

    def _reader(self) -> sqlite3.Connection:
        reader = connect(self.path)
        reader.execute("PRAGMA query_only = ON")
        return reader


def any_of(words: Iterable[str]) -> str:
    """An FTS5 expression for documents that have at least one of the words.

    Each is quoted, so nothing in it is taken for FTS5's own language; one that the tokenizer cuts,
    such as hsu_worker, is found where its parts stand side by side.
    """
    return " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
