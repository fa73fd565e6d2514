use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use hsu::{BoxError, Lifespan, Progress};
use tokio_stream::Iter;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Request, Response, Status};

use self::proto::interface_a_server::{InterfaceA, InterfaceAServer};
use self::proto::{SummarizeRequest, SummarizeResponse, SummaryChunk};

mod proto {
    hsu::include_interface!("hsu.a.v1");
}

/// Answers with what it is told, louder.
#[derive(Clone, Default)]
struct Shouter {
    mark: Arc<OnceLock<String>>,
}

#[tonic::async_trait]
impl Lifespan for Shouter {
    async fn start(&self, progress: &Progress) -> Result<(), BoxError> {
        progress.report(0.5, "reading the mark");
        self.mark.get_or_init(|| "!".to_owned());
        Ok(())
    }
}

#[tonic::async_trait]
impl InterfaceA for Shouter {
    async fn summarize(
        &self,
        request: Request<SummarizeRequest>,
    ) -> Result<Response<SummarizeResponse>, Status> {
        let text = request.into_inner().text;
        if text.is_empty() {
            return Err(Status::invalid_argument("text is empty"));
        }
        tracing::info!(characters = text.chars().count(), "shouting");
        // What computes has threads of its own.
        let loud = hsu::blocking(move |_unwanted| text.to_uppercase()).await;
        let summary = loud + self.mark.get().map_or("", String::as_str);
        Ok(Response::new(SummarizeResponse { summary, ..Default::default() }))
    }

    type StreamSummaryStream = Iter<std::vec::IntoIter<Result<SummaryChunk, Status>>>;

    async fn stream_summary(
        &self,
        request: Request<SummarizeRequest>,
    ) -> Result<Response<Self::StreamSummaryStream>, Status> {
        let text = request.into_inner().text.to_uppercase();
        let words = text
            .split_whitespace()
            .map(|word| Ok(SummaryChunk { text: word.to_owned(), ..Default::default() }));
        Ok(Response::new(tokio_stream::iter(words.collect::<Vec<_>>())))
    }
}

fn main() -> ExitCode {
    let shouter = Shouter::default();
    let server = InterfaceAServer::new(shouter.clone())
        .accept_compressed(Gzip)
        .max_encoding_message_size(hsu::MESSAGE_BYTES);
    hsu::Worker::new("shouter", env!("CARGO_PKG_VERSION"))
        .descriptors(hsu::include_descriptors!())
        .interface(server)
        .lifespan(shouter)
        .run()
}
