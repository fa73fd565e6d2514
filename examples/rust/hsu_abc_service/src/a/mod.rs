//! Interface A: which sentences of a text say most of it.

mod markup;
mod text;
mod textrank;

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use hsu::{BoxError, Lifespan, Progress};
use tokio_stream::Iter;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use self::proto::interface_a_server::InterfaceA;
use self::proto::{SummarizeRequest, SummarizeResponse, SummaryChunk};
use self::text::{Sentence, sentences};
use self::textrank::rank;

/// What is made of `hsu_a.proto`.
#[allow(clippy::all)]
pub mod proto {
    hsu::include_interface!("hsu.a.v1");
}

/// Sentences of one text at the most: the work grows with their square.
const MAX_SENTENCES: usize = 2_000;

/// Sentences of a summary when the request doesn't say.
const DEFAULT_SENTENCES: usize = 3;

/// Words that say nothing, one or more on a line; what follows a # is a remark.
const STOP_WORDS: &str = include_str!("../../../../hsu_a_service1/hsu_a_service1/stopwords.txt");

/// Summarises texts.
#[derive(Clone, Default)]
pub struct Summarizer {
    stop_words: Arc<RwLock<Arc<HashSet<String>>>>,
}

impl Summarizer {
    /// The sentences asked for, best first, and how many the text has.
    async fn best(&self, request: SummarizeRequest) -> Result<(Vec<SummaryChunk>, usize), Status> {
        let stop_words = self.stop_words.read().unwrap_or_else(PoisonError::into_inner).clone();
        hsu::blocking(move |unwanted| best(&request, &stop_words, &unwanted)).await
    }

    fn keep(&self, stop_words: HashSet<String>) {
        *self.stop_words.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(stop_words);
    }
}

#[tonic::async_trait]
impl Lifespan for Summarizer {
    async fn start(&self, progress: &Progress) -> Result<(), BoxError> {
        progress.report(0.0, "reading the stop words");
        self.keep(stop_words());
        Ok(())
    }

    async fn stop(&self) {
        self.keep(HashSet::new());
    }
}

#[tonic::async_trait]
impl InterfaceA for Summarizer {
    async fn summarize(
        &self,
        request: Request<SummarizeRequest>,
    ) -> Result<Response<SummarizeResponse>, Status> {
        let (mut chunks, total) = self.best(request.into_inner()).await?;
        chunks.sort_by_key(|chunk| chunk.position);
        let texts: Vec<_> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
        let summary = texts.join(" ");
        Ok(Response::new(SummarizeResponse { summary, chunks, total_sentences: total as u32 }))
    }

    type StreamSummaryStream = Iter<std::vec::IntoIter<Result<SummaryChunk, Status>>>;

    async fn stream_summary(
        &self,
        request: Request<SummarizeRequest>,
    ) -> Result<Response<Self::StreamSummaryStream>, Status> {
        let (chunks, _) = self.best(request.into_inner()).await?;
        let told: Vec<_> = chunks.into_iter().map(Ok).collect();
        Ok(Response::new(tokio_stream::iter(told)))
    }
}

fn best(
    request: &SummarizeRequest,
    stop_words: &HashSet<String>,
    unwanted: &CancellationToken,
) -> Result<(Vec<SummaryChunk>, usize), Status> {
    let Some(found) = sentences(&request.text, stop_words, MAX_SENTENCES) else {
        let problem = format!("it has more than {MAX_SENTENCES} sentences; send it in parts");
        return Err(bad_text(&problem));
    };
    if found.is_empty() {
        let is_empty = request.text.trim().is_empty();
        let problem = "it holds no sentence; send a text with at least one word of prose";
        return Err(bad_text(if is_empty { "it is empty" } else { problem }));
    }
    let scores = rank(&found, unwanted).ok_or_else(|| Status::cancelled("the caller has gone"))?;
    Ok((chosen(&found, &scores, request.sentences), found.len()))
}

/// Of two sentences with the same score the earlier one is better.
fn chosen(found: &[Sentence], scores: &[f64], wanted: u32) -> Vec<SummaryChunk> {
    let count = if wanted == 0 { DEFAULT_SENTENCES } else { wanted as usize };
    // Rounded, so that noise in the last digits doesn't decide between two that are equal.
    let rounded = |at: usize| (scores[at] * 1e9).round();
    let mut order: Vec<_> = (0..found.len()).collect();
    order.sort_by(|a, b| rounded(*b).total_cmp(&rounded(*a)));
    let places = (1..).zip(order.into_iter().take(count));
    places
        .map(|(rank, at)| SummaryChunk {
            text: found[at].text.clone(),
            rank,
            position: at as u32,
            score: scores[at],
        })
        .collect()
}

fn stop_words() -> HashSet<String> {
    let lines = STOP_WORDS.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(str::split_whitespace).map(str::to_lowercase).collect()
}

fn bad_text(problem: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation("text", problem);
    Status::with_error_details(Code::InvalidArgument, format!("text: {problem}"), details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str, sentences: u32) -> Result<(Vec<SummaryChunk>, usize), Status> {
        let request = SummarizeRequest { text: text.to_owned(), sentences };
        best(&request, &stop_words(), &CancellationToken::new())
    }

    #[test]
    fn the_best_sentences_share_words_with_others() {
        let (chunks, total) = ask("Millers make flour. Flour makes bread. It rains.", 2).unwrap();
        assert_eq!(3, total);
        let told: Vec<_> = chunks.iter().map(|chunk| (chunk.rank, chunk.position)).collect();
        assert_eq!(vec![(1, 0), (2, 1)], told);
        assert!(chunks[0].score > 1.0 / 3.0);
    }

    #[test]
    fn what_can_not_be_summarised_is_explained() {
        for (text, problem) in [
            ("", "text: it is empty"),
            ("...", "text: it holds no sentence; send a text with at least one word of prose"),
            (&"It is. ".repeat(2_001), "text: it has more than 2000 sentences; send it in parts"),
        ] {
            let refused = ask(text, 0).unwrap_err();
            assert_eq!((Code::InvalidArgument, problem), (refused.code(), refused.message()));
            assert_eq!(
                "text",
                refused.get_details_bad_request().unwrap().field_violations[0].field
            );
        }
    }

    #[test]
    fn work_that_nobody_wants_ends() {
        let unwanted = CancellationToken::new();
        unwanted.cancel();
        let request = SummarizeRequest { text: "It rains.".to_owned(), sentences: 0 };
        let refused = best(&request, &HashSet::new(), &unwanted).unwrap_err();
        assert_eq!(Code::Cancelled, refused.code());
    }
}
