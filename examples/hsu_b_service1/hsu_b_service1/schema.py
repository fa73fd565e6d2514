"""The tables of the index, and how a file comes to have them."""

import sqlite3
from contextlib import closing
from pathlib import Path

#: Says in the file's header that it is an index of this package ("HSUB").
APPLICATION_ID = 0x48535542

#: Raised when the tables below change.
VERSION = 1

#: Seconds to wait for another process that writes to the same file.
BUSY_SECONDS = 10.0

# The long columns stand last: SQLite then finds the others without reading through them.
_TABLES = """
CREATE TABLE documents (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,       -- SHA-256 of title NUL text, in hex
    text_bytes INTEGER NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5 (
    title, text, content = documents, content_rowid = key,
    tokenize = 'unicode61 remove_diacritics 2'
);
-- A word of the title counts as much as four of the text.
INSERT INTO words (words, rank) VALUES ('rank', 'bm25(4.0, 1.0)');
CREATE TRIGGER added AFTER INSERT ON documents BEGIN
    INSERT INTO words (rowid, title, text) VALUES (new.key, new.title, new.text);
END;
CREATE TRIGGER replaced AFTER UPDATE ON documents BEGIN
    INSERT INTO words (words, rowid, title, text)
    VALUES ('delete', old.key, old.title, old.text);
    INSERT INTO words (rowid, title, text) VALUES (new.key, new.title, new.text);
END;
"""


class IndexUnusable(Exception):
    """The index can't be opened. The message names the file, what is wrong, and the cure."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that may move between threads, in one of them at a time."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    # With a write-ahead log, FULL means that a commit returns when the log is on the disk.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: past the drive's own cache
    return connection


def prepare(path: Path) -> None:
    """Make the file and its folder where they are missing, and the tables in an empty file.

    Raises:
        IndexUnusable: It can't be made or opened, or it is something else.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(connect(path)) as connection:
            _prepare(connection, path)
    except (OSError, sqlite3.Error) as error:
        cure = "give another path in HSU_B_INDEX"
        if "fts5" in str(error):
            cure = "this Python's SQLite was built without FTS5; use another Python"
        raise IndexUnusable(f"index {path}: {error}; {cure}") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _is_ours(connection, path):
        return
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise IndexUnusable(
            f"index {path}: no write-ahead log is possible here, as on a network drive; "
            "give a path on a local disk in HSU_B_INDEX"
        )
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been quicker.
    if not _is_ours(connection, path):
        for statement in _statements():
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _statements() -> list[str]:
    """The statements one by one: `executescript` would commit the transaction first."""
    statements, statement = [], ""
    for line in _TABLES.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            statements.append(statement)
            statement = ""
    return statements


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """It has our tables; an empty file has none yet.

    Raises:
        IndexUnusable: It has others.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == APPLICATION_ID and version == VERSION:
        return True
    if application == APPLICATION_ID:
        raise IndexUnusable(
            f"index {path}: its tables are of version {version}, this package's of version "
            f"{VERSION}; delete the file and ingest again, or install the package that made it"
        )
    if application or version or tables:
        raise IndexUnusable(
            f"index {path}: a database of another program; give another path in HSU_B_INDEX"
        )
    return False
