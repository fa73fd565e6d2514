//! The way of `tracing` events into the ring, and out of it to whoever reads the log.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use tonic::Status;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::gen_core::{LogLevel, LogRecord, LogWindow, StreamLogsRequest, StreamLogsResponse};
use crate::ring::Ring;

/// Makes the ring the log of this process; `is_told` shows its records on stderr, too.
pub fn log_to(ring: &Arc<Ring>, is_told: bool) {
    let stderr = is_told.then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr));
    // One that is there already belongs to the program, and stays.
    let _ = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(RingLayer(Arc::clone(ring)))
        .with(stderr)
        .try_init();
}

struct RingLayer(Arc<Ring>);

impl<S: Subscriber> Layer<S> for RingLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut texts = Texts::default();
        event.record(&mut texts);
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warning,
            Level::INFO => LogLevel::Info,
            Level::DEBUG | Level::TRACE => LogLevel::Debug,
        };
        self.0.append(LogRecord {
            level: level.into(),
            logger: event.metadata().target().replace("::", "."),
            message: texts.message,
            fields: texts.fields,
            ..LogRecord::default()
        });
    }
}

#[derive(Default)]
struct Texts {
    message: String,
    fields: HashMap<String, String>,
}

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.fields.insert(field.name().to_owned(), format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

pub fn window(ring: &Ring, instance: &str) -> LogWindow {
    let (oldest, next) = ring.window();
    LogWindow { instance: instance.to_owned(), oldest, next, restarted: false }
}

/// The window, then the records from a cursor on, then, when asked to, what comes.
pub fn stream(
    ring: &Arc<Ring>,
    instance: &str,
    asked: StreamLogsRequest,
) -> Result<impl Stream<Item = Result<StreamLogsResponse, Status>> + use<>, Status> {
    let mut first = window(ring, instance);
    first.restarted = !asked.instance.is_empty() && asked.instance != instance;
    let cursor = match asked.sequence {
        // All that this instance has logged is news to who followed another one.
        _ if first.restarted => 1,
        0 => first.oldest,
        given if given > first.next => {
            return Err(Status::out_of_range(format!(
                "sequence {given} is past the record to come, {}, of this instance",
                first.next
            )));
        }
        given => given,
    };
    let mut reader = Reader { ring: Arc::clone(ring), asked, cursor, end: first.next };
    reader.asked.sequence = cursor;
    let told = StreamLogsResponse { window: Some(first), ..StreamLogsResponse::default() };
    Ok(unfold((Some(told), reader), |(told, mut reader)| async {
        let told = match told {
            Some(told) => told,
            None => reader.next().await?,
        };
        Some((Ok(told), (None, reader)))
    }))
}

struct Reader {
    ring: Arc<Ring>,
    asked: StreamLogsRequest,
    cursor: u64,
    /// Where the stream ends, unless it follows.
    end: u64,
}

impl Reader {
    async fn next(&mut self) -> Option<StreamLogsResponse> {
        loop {
            if self.cursor >= self.end && !self.asked.follow {
                return None;
            }
            let mut news = self.ring.news();
            let batch = self.ring.take(self.cursor);
            if batch.records.is_empty() {
                if batch.is_closed {
                    return None;
                }
                // The sender lives in the ring: there is no error.
                let _ = news.changed().await;
                continue;
            }
            self.cursor += batch.dropped + batch.records.len() as u64;
            let mut records = batch.records;
            records.retain(|record| self.is_wanted(record));
            if batch.dropped > 0 || !records.is_empty() {
                return Some(StreamLogsResponse { window: None, dropped: batch.dropped, records });
            }
        }
    }

    fn is_wanted(&self, record: &LogRecord) -> bool {
        let logger = &self.asked.logger;
        let below = record.logger.strip_prefix(logger.as_str());
        record.level >= self.asked.level
            && (logger.is_empty()
                || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    fn ring(loggers: &[&str]) -> Arc<Ring> {
        let ring = Arc::new(Ring::new());
        for logger in loggers {
            ring.append(LogRecord { logger: (*logger).to_owned(), ..LogRecord::default() });
        }
        ring
    }

    async fn sequences(ring: &Arc<Ring>, asked: StreamLogsRequest) -> Vec<u64> {
        let told: Vec<_> = stream(ring, "me", asked).unwrap().collect().await;
        assert!(told[0].as_ref().unwrap().records.is_empty());
        let records = told.into_iter().flat_map(|each| each.unwrap().records);
        records.map(|record| record.sequence).collect()
    }

    #[tokio::test]
    async fn a_reader_gets_what_it_asks_for_and_nothing_twice() {
        let ring = ring(&["a", "a.b", "ab"]);
        let all = StreamLogsRequest::default();
        assert_eq!(vec![1, 2, 3], sequences(&ring, all.clone()).await);
        assert_eq!(
            vec![3],
            sequences(&ring, StreamLogsRequest { sequence: 3, ..all.clone() }).await
        );
        let logger = StreamLogsRequest { logger: "a".to_owned(), ..all.clone() };
        assert_eq!(vec![1, 2], sequences(&ring, logger).await);
        let other = StreamLogsRequest { instance: "x".to_owned(), sequence: 9, ..all };
        assert_eq!(vec![1, 2, 3], sequences(&ring, other).await);
    }

    #[tokio::test]
    async fn a_cursor_past_the_end_is_out_of_range() {
        let asked = StreamLogsRequest { sequence: 3, ..StreamLogsRequest::default() };
        let told = stream(&ring(&["a"]), "me", asked).err().unwrap();
        assert_eq!(tonic::Code::OutOfRange, told.code());
    }

    #[tokio::test]
    async fn who_follows_comes_to_the_last_record() {
        let ring = ring(&["a"]);
        let asked = StreamLogsRequest { follow: true, ..StreamLogsRequest::default() };
        let followed = stream(&ring, "me", asked).unwrap();
        ring.append(LogRecord::default());
        ring.close();
        let told: Vec<_> = followed.collect().await;
        assert_eq!(2, told.last().unwrap().as_ref().unwrap().records.last().unwrap().sequence);
    }
}
