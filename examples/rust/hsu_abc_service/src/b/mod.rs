//! Interface B: documents in, hits out.

mod schema;
mod spool;
mod store;

use std::env;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use hsu::{BoxError, Lifespan, Progress};
use prost::Message;
use rusqlite::ErrorCode;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use self::proto::interface_b_server::InterfaceB;
use self::proto::{
    Document, GetStatsRequest, GetStatsResponse, IngestRequest, IngestResponse, SearchRequest,
    SearchResponse,
};
use self::spool::Spool;
use self::store::{Store, WriteError};

/// What is made of `hsu_b.proto`.
#[allow(clippy::all)]
pub mod proto {
    hsu::include_interface!("hsu.b.v1");
}

/// A document's bytes at the most: it has to fit into the answer of a search, with its snippet.
const MAX_DOCUMENT: usize = hsu::MESSAGE_BYTES - (16 << 10);

/// Different words of one query, and hits of one search, at the most.
const MAX_WORDS: usize = 64;
const MAX_LIMIT: u32 = 1_000;

/// Hits when the request doesn't say.
const DEFAULT_LIMIT: u32 = 10;

/// Keeps documents in one SQLite file: what `HSU_B_INDEX` says, or one in the user's state folder.
#[derive(Clone, Default)]
pub struct Index {
    store: Arc<RwLock<Option<Arc<Store>>>>,
}

impl Index {
    fn store(&self) -> Result<Arc<Store>, Status> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner).clone();
        store.ok_or_else(|| Status::unavailable("the index is not open"))
    }

    fn keep(&self, store: Option<Arc<Store>>) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
    }
}

#[tonic::async_trait]
impl Lifespan for Index {
    async fn start(&self, progress: &Progress) -> Result<(), BoxError> {
        let path = default_path();
        progress.report(0.0, &format!("opening {}", path.display()));
        let store = hsu::blocking(move |_| Store::open(&path)).await?;
        self.keep(Some(Arc::new(store)));
        Ok(())
    }

    async fn stop(&self) {
        self.keep(None);
    }
}

#[tonic::async_trait]
impl InterfaceB for Index {
    /// Takes the whole stream first, then writes it in one transaction: a client that stalls or breaks
    /// half-way has neither held up others nor left anything.
    async fn ingest(
        &self,
        request: Request<Streaming<IngestRequest>>,
    ) -> Result<Response<IngestResponse>, Status> {
        let store = self.store()?;
        let mut requests = request.into_inner();
        let mut spool = Spool::beside(store.path()).map_err(storage_error)?;
        let mut place = 0;
        while let Some(request) = requests.message().await? {
            place += 1;
            let document = request.document.unwrap_or_default();
            check(&document, place)?;
            spool.add(&document);
            if spool.is_full() {
                spool = hsu::blocking(move |_| spool.flushed()).await.map_err(storage_error)?;
            }
        }
        let writer = store.writer().await;
        let changes = hsu::blocking(move |unwanted| {
            writer.write(spool.documents()?, || !unwanted.is_cancelled())
        });
        let changes = changes.await.map_err(|error| match error {
            WriteError::Unwanted => Status::cancelled("the caller has gone"),
            WriteError::Storage(error) => storage_error(error),
        })?;
        Ok(Response::new(IngestResponse {
            added: changes.added,
            replaced: changes.replaced,
            unchanged: changes.unchanged,
        }))
    }

    type SearchStream = Pin<Box<dyn Stream<Item = Result<SearchResponse, Status>> + Send>>;

    /// Finds all at once, and only then reads the long texts one by one: a caller that takes its time
    /// holds no thread and no snapshot.
    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<Self::SearchStream>, Status> {
        let store = self.store()?;
        let request = request.into_inner();
        let words = words(&request.query)?;
        let limit = match request.limit {
            0 => DEFAULT_LIMIT,
            limit if limit > MAX_LIMIT => {
                return Err(bad("limit", &format!("{limit} hits, {MAX_LIMIT} are possible")));
            }
            limit => limit,
        };
        let searched = Arc::clone(&store);
        let hits = hsu::blocking(move |_| searched.search(&words, limit));
        let hits = (1..).zip(hits.await.map_err(|error| storage_error(error.into()))?);
        let told = tokio_stream::iter(hits).then(move |(rank, hit)| {
            let store = Arc::clone(&store);
            async move {
                let text = hsu::blocking(move |_| store.text(hit.key)).await;
                Ok(SearchResponse {
                    rank,
                    id: hit.id,
                    title: hit.title,
                    snippet: hit.snippet,
                    score: hit.score,
                    text: text.map_err(|error| storage_error(error.into()))?,
                })
            }
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn get_stats(
        &self,
        _: Request<GetStatsRequest>,
    ) -> Result<Response<GetStatsResponse>, Status> {
        let store = self.store()?;
        let stats = hsu::blocking(move |_| store.stats()).await;
        let stats = stats.map_err(|error| storage_error(error.into()))?;
        Ok(Response::new(GetStatsResponse {
            documents: stats.documents,
            text_bytes: stats.text_bytes,
            digest: stats.digest,
        }))
    }
}

/// What `HSU_B_INDEX` says, or a file in the folder where the system keeps a user's data.
fn default_path() -> PathBuf {
    let home = || env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
    if let Some(given) = env::var_os("HSU_B_INDEX").filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        return match given.strip_prefix("~") {
            Ok(rest) => home().join(rest),
            Err(_) => given,
        };
    }
    let folder = if cfg!(target_os = "macos") {
        home().join("Library/Application Support")
    } else {
        let state = env::var_os("XDG_STATE_HOME").filter(|given| !given.is_empty());
        state.map_or_else(|| home().join(".local/state"), PathBuf::from)
    };
    folder.join("hsu-b-service1/index.sqlite3")
}

fn check(document: &Document, place: usize) -> Result<(), Status> {
    let id: String = document.id.chars().take(80).collect();
    let size = document.encoded_len();
    if document.id.is_empty() {
        Err(bad("document.id", &format!("empty in message {place} of the stream")))
    } else if document.text.is_empty() {
        Err(bad("document.text", &format!("empty in '{id}'")))
    } else if size > MAX_DOCUMENT {
        let problem = format!("'{id}' has {size} bytes, {MAX_DOCUMENT} are possible; cut it up");
        Err(bad("document", &problem))
    } else {
        Ok(())
    }
}

/// The different words of a query. What separates them is white space and the NUL, at which SQLite would
/// stop reading.
fn words(query: &str) -> Result<Vec<String>, Status> {
    let mut words: Vec<String> = Vec::new();
    for word in query.split(|char: char| char.is_whitespace() || char == '\0') {
        if word.contains(char::is_alphanumeric) && !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    match words.len() {
        0 => Err(bad("query", "it holds no word")),
        count if count > MAX_WORDS => {
            Err(bad("query", &format!("{count} different words, {MAX_WORDS} are possible")))
        }
        _ => Ok(words),
    }
}

fn bad(field: &str, problem: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, problem);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {problem}"), details)
}

/// What the caller or the operator can do something about gets a status of its own.
fn storage_error(error: BoxError) -> Status {
    let full = || Status::resource_exhausted("the disk with the index is full");
    if let Some(rusqlite::Error::SqliteFailure(failure, _)) = error.downcast_ref() {
        match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                return Status::unavailable("another process is writing to the index; try again");
            }
            ErrorCode::DiskFull => return full(),
            _ => {}
        }
    }
    if let Some(error) = error.downcast_ref::<std::io::Error>()
        && matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        )
    {
        return full();
    }
    hsu::internal(error.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_query_come_once_each() {
        assert_eq!(vec!["flour", "well-known"], words("flour  ... well-known\0flour").unwrap());
        assert_eq!("query: it holds no word", words(" - ").unwrap_err().message());
        let many: String = (0..65).map(|number| format!("w{number} ")).collect();
        let told = words(&many).unwrap_err();
        assert_eq!("query: 65 different words, 64 are possible", told.message());
    }

    #[test]
    fn a_document_has_an_id_and_a_text() {
        let document =
            |id: &str, text: String| Document { id: id.to_owned(), text, ..Default::default() };
        for (document, problem) in [
            (document("", "x".to_owned()), "document.id: empty in message 3 of the stream"),
            (document("a", String::new()), "document.text: empty in 'a'"),
            (
                document("a", "x".repeat(MAX_DOCUMENT)),
                "document: 'a' has 4177928 bytes, 4177920 are possible; cut it up",
            ),
        ] {
            assert_eq!(problem, check(&document, 3).unwrap_err().message());
        }
    }
}
