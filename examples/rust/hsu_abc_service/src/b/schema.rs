//! The tables of the index, and how a file comes to have them. They are those of
//! `examples/hsu_b_service1`: one file serves both.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use hsu::BoxError;
use rusqlite::Connection;

/// Says in the file's header that it is an index of this kind ("HSUB").
const APPLICATION_ID: i32 = 0x4853_5542;

/// Raised when the tables below change.
const VERSION: i32 = 1;

/// How long to wait for another process that writes to the same file.
const BUSY: Duration = Duration::from_secs(10);

// The long columns stand last: SQLite then finds the others without reading through them.
const TABLES: &str = "
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
";

/// A connection to the file.
pub fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // With a write-ahead log, FULL means that a commit returns when the log is on the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?; // macOS: past the drive's own cache
    Ok(connection)
}

/// Makes the file and its folder where they are missing, and the tables in an empty file. The error names
/// the file, what is wrong, and the cure.
pub fn prepare(path: &Path) -> Result<(), BoxError> {
    prepared(path).map_err(|problem| match problem {
        Problem::Storage(error) => {
            format!("index {}: {error}; give another path in HSU_B_INDEX", path.display()).into()
        }
        Problem::Unusable(text) => format!("index {}: {text}", path.display()).into(),
    })
}

enum Problem {
    Storage(BoxError),
    Unusable(String),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

fn prepared(path: &Path) -> Result<(), Problem> {
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Problem::Storage(error.into()))?;
    }
    let mut connection = connect(path)?;
    if is_ours(&connection)? {
        return Ok(());
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let text = "no write-ahead log is possible here, as on a network drive; give a path on a local \
                    disk in HSU_B_INDEX";
        return Err(Problem::Unusable(text.to_owned()));
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have been quicker.
    if !is_ours(&transaction)? {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(transaction.commit()?)
}

/// Whether it has our tables; an empty file has none yet. One with others is unusable.
fn is_ours(connection: &Connection) -> Result<bool, Problem> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application == APPLICATION_ID && version == VERSION {
        return Ok(true);
    }
    if application == APPLICATION_ID {
        return Err(Problem::Unusable(format!(
            "its tables are of version {version}, this program's of version {VERSION}; delete the \
             file and ingest again, or use the program that made it"
        )));
    }
    if application != 0 || version != 0 || tables != 0 {
        let text = "a database of another program; give another path in HSU_B_INDEX";
        return Err(Problem::Unusable(text.to_owned()));
    }
    Ok(false)
}
