//! The index itself: documents in SQLite, their words in FTS5, ranked by BM25.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hsu::BoxError;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::proto::Document;
use super::schema::{connect, prepare};

/// Words of the text around a hit.
const SNIPPET_WORDS: u32 = 24;

/// Characters of a snippet at the most, for texts whose words have no end.
const SNIPPET_LENGTH: usize = 400;

const SEARCH: &str = "
SELECT documents.key, documents.id, documents.title, -words.rank,
       snippet(words, 1, '', '', '…', ?)
FROM words JOIN documents ON documents.key = words.rowid
WHERE words MATCH ? ORDER BY words.rank LIMIT ?
";

const KEEP: &str = "
INSERT INTO documents (id, digest, text_bytes, title, text) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, text_bytes = excluded.text_bytes,
                               title = excluded.title, text = excluded.text
";

/// One index file. One task at a time writes; any number reads, also meanwhile.
pub struct Store {
    path: PathBuf,
    writer: Arc<Mutex<Connection>>,
}

/// The right to write.
pub struct Writer(OwnedMutexGuard<Connection>);

/// What a write changed; each document is counted once each time it comes.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    pub added: u32,
    pub replaced: u32,
    pub unchanged: u32,
}

/// One document that was found.
#[derive(Debug)]
pub struct Hit {
    pub key: i64,
    pub id: String,
    pub title: String,
    pub snippet: String,
    pub score: f64,
}

/// What the index holds.
#[derive(Debug, PartialEq)]
pub struct Stats {
    pub documents: u64,
    pub text_bytes: u64,
    pub digest: String,
}

#[derive(Debug)]
pub enum WriteError {
    /// Nobody waits any more for what was being written.
    Unwanted,
    Storage(BoxError),
}

impl<E: Into<BoxError>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Storage(error.into())
    }
}

impl Store {
    /// The error names the file, what is wrong, and the cure.
    pub fn open(path: &Path) -> Result<Self, BoxError> {
        prepare(path)?;
        let writer = connect(path)?;
        // The log may grow for a long transaction; afterwards it shrinks again.
        writer.pragma_update(None, "journal_size_limit", 64 << 20)?;
        Ok(Self { path: path.to_owned(), writer: Arc::new(Mutex::new(writer)) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for those who write before.
    pub async fn writer(&self) -> Writer {
        Writer(Arc::clone(&self.writer).lock_owned().await)
    }

    /// The documents that have at least one of the words, best first.
    pub fn search(&self, words: &[String], limit: u32) -> rusqlite::Result<Vec<Hit>> {
        let reader = self.reader()?;
        let mut found = reader.prepare(SEARCH)?;
        let hits = found.query_map(params![SNIPPET_WORDS, any_of(words), limit], |row| {
            let snippet: String = row.get(4)?;
            let short = snippet.split_whitespace().collect::<Vec<_>>().join(" ");
            Ok(Hit {
                key: row.get(0)?,
                id: row.get(1)?,
                title: row.get(2)?,
                score: row.get(3)?,
                snippet: short.chars().take(SNIPPET_LENGTH).collect(),
            })
        })?;
        hits.collect()
    }

    /// The text of a document that was found; the new one, if it was replaced meanwhile.
    pub fn text(&self, key: i64) -> rusqlite::Result<String> {
        let sql = "SELECT text FROM documents WHERE key = ?";
        self.reader()?.query_row(sql, [key], |row| row.get(0))
    }

    pub fn stats(&self) -> rusqlite::Result<Stats> {
        let reader = self.reader()?;
        // SQLite compares text bytewise, as the digest wants it.
        let mut all = reader.prepare("SELECT id, digest, text_bytes FROM documents ORDER BY id")?;
        let mut rows = all.query([])?;
        let (mut documents, mut text_bytes, mut digest) = (0, 0, Sha256::new());
        while let Some(row) = rows.next()? {
            let (id, own): (String, String) = (row.get(0)?, row.get(1)?);
            documents += 1;
            text_bytes += row.get::<_, i64>(2)?.unsigned_abs();
            digest.update(format!("{id}\n{own}\n"));
        }
        Ok(Stats { documents, text_bytes, digest: hex(&digest.finalize()) })
    }

    fn reader(&self) -> rusqlite::Result<Connection> {
        let reader = connect(&self.path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(reader)
    }
}

impl Writer {
    /// Adds or replaces documents: all of them are on the disk when this returns, or none is kept.
    pub fn write(
        mut self,
        documents: impl Iterator<Item = Result<Document, BoxError>>,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Changes, WriteError> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut changes = Changes::default();
        for document in documents {
            if !is_wanted() {
                return Err(WriteError::Unwanted);
            }
            keep(&transaction, &document?, &mut changes)?;
        }
        // The last look: what is committed stays. A transaction that is dropped is rolled back.
        if !is_wanted() {
            return Err(WriteError::Unwanted);
        }
        transaction.commit()?;
        Ok(changes)
    }
}

fn keep(
    transaction: &Transaction<'_>,
    document: &Document,
    changes: &mut Changes,
) -> rusqlite::Result<()> {
    let Document { id, title, text } = document;
    let digest = hex(&Sha256::digest(format!("{title}\0{text}")));
    let mut known = transaction.prepare_cached("SELECT digest FROM documents WHERE id = ?")?;
    let before: Option<String> = known.query_row([id], |row| row.get(0)).optional()?;
    if before.as_ref() == Some(&digest) {
        changes.unchanged += 1;
        return Ok(());
    }
    let mut kept = transaction.prepare_cached(KEEP)?;
    kept.execute(params![id, digest, text.len() as i64, title, text])?;
    match before {
        None => changes.added += 1,
        Some(_) => changes.replaced += 1,
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An FTS5 expression for documents that have at least one of the words. Each is quoted, so nothing in it
/// is taken for FTS5's own language.
fn any_of(words: &[String]) -> String {
    let quoted: Vec<_> =
        words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    quoted.join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(id: &str, text: &str) -> Result<Document, BoxError> {
        Ok(Document { id: id.to_owned(), title: id.to_uppercase(), text: text.to_owned() })
    }

    #[tokio::test]
    async fn documents_are_kept_found_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("new/index.sqlite3")).unwrap();
        let documents = || [document("a", "Flour makes bread."), document("b", "It rains.")];
        let write = |documents: Vec<_>| async {
            store.writer().await.write(documents.into_iter(), || true).unwrap()
        };
        let changed = |added, replaced, unchanged| Changes { added, replaced, unchanged };
        assert_eq!(changed(2, 0, 0), write(documents().into()).await);
        assert_eq!(
            changed(0, 1, 1),
            write(vec![document("a", "Flour."), document("b", "It rains.")]).await
        );

        let words = ["flour".to_owned(), "\"odd\"".to_owned()];
        let [hit] = store.search(&words, 10).unwrap().try_into().unwrap();
        assert_eq!(
            ("a", "A", "Flour."),
            (hit.id.as_str(), hit.title.as_str(), hit.snippet.as_str())
        );
        assert_eq!("Flour.", store.text(hit.key).unwrap());
        let stats = store.stats().unwrap();
        assert_eq!((2, 15), (stats.documents, stats.text_bytes));
    }

    #[tokio::test]
    async fn a_write_that_nobody_wants_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("index.sqlite3")).unwrap();
        let documents = [document("a", "Flour.")].into_iter();
        let ended = store.writer().await.write(documents, || false);
        assert!(matches!(ended, Err(WriteError::Unwanted)));
        assert_eq!(0, store.stats().unwrap().documents);
    }

    #[test]
    fn a_file_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.sqlite3");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        let told = Store::open(&path).err().unwrap().to_string();
        assert!(
            told.ends_with("a database of another program; give another path in HSU_B_INDEX"),
            "{told}"
        );
    }
}
