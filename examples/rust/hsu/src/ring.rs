//! The last log records of this process, numbered from 1.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::LOG_LINE_BYTES;
use crate::gen_core::LogRecord;

/// What the ring holds at the most; the oldest records make room.
const RING_BYTES: usize = 1 << 20;
/// What a record takes beside its texts, about.
const OVERHEAD: usize = 64;
/// One message of a log stream at the most.
const BATCH_RECORDS: usize = 256;
const BATCH_BYTES: usize = 256 << 10;

pub struct Ring {
    kept: Mutex<Kept>,
    /// Changes with each record, and with the end.
    news: watch::Sender<()>,
}

#[derive(Default)]
struct Kept {
    records: VecDeque<(usize, LogRecord)>,
    bytes: usize,
    /// Records made so far.
    made: u64,
    is_closed: bool,
}

/// What comes next in a log stream.
pub struct Batch {
    /// Records lost before these.
    pub dropped: u64,
    pub records: Vec<LogRecord>,
    /// No more will come.
    pub is_closed: bool,
}

impl Ring {
    pub fn new() -> Self {
        Self { kept: Mutex::default(), news: watch::Sender::new(()) }
    }

    /// Keeps a record. Texts that are too long are cut, and say so.
    pub fn append(&self, mut record: LogRecord) {
        record.time = Some(SystemTime::now().into());
        record.message = cut(record.message);
        let mut size = OVERHEAD + record.message.len() + record.logger.len();
        for (key, value) in &mut record.fields {
            *value = cut(std::mem::take(value));
            size += key.len() + value.len();
        }
        {
            let mut kept = self.kept();
            kept.made += 1;
            record.sequence = kept.made;
            kept.bytes += size;
            kept.records.push_back((size, record));
            // The newest stays, however long it is.
            while kept.bytes > RING_BYTES && kept.records.len() > 1 {
                let Some((size, _)) = kept.records.pop_front() else { break };
                kept.bytes -= size;
            }
        }
        self.news.send_replace(());
    }

    /// The oldest sequence number still kept, and the next to come.
    pub fn window(&self) -> (u64, u64) {
        self.kept().window()
    }

    /// The records from a cursor on, as many as one message should hold.
    pub fn take(&self, cursor: u64) -> Batch {
        let kept = self.kept();
        let (oldest, _) = kept.window();
        let start = cursor.max(oldest);
        let skipped = usize::try_from(start - oldest).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let records = kept.records.iter().skip(skipped).take(BATCH_RECORDS).enumerate();
        let records = records
            .take_while(|(place, (size, _))| {
                bytes += size;
                *place == 0 || bytes <= BATCH_BYTES
            })
            .map(|(_, (_, record))| record.clone())
            .collect();
        Batch { dropped: start - cursor, records, is_closed: kept.is_closed }
    }

    /// Tells of what comes after now.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Lets those who follow come to an end, once they have seen everything.
    pub fn close(&self) {
        self.kept().is_closed = true;
        self.news.send_replace(());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn window(&self) -> (u64, u64) {
        let next = self.made + 1;
        (next - self.records.len() as u64, next)
    }
}

fn cut(mut text: String) -> String {
    let whole = text.len();
    if whole > LOG_LINE_BYTES {
        text.truncate(text.floor_char_boundary(LOG_LINE_BYTES));
        text.push_str(&format!(" [cut: {whole} bytes]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: String) -> LogRecord {
        LogRecord { message, ..LogRecord::default() }
    }

    #[test]
    fn records_are_numbered_from_one() {
        let ring = Ring::new();
        assert_eq!((1, 1), ring.window());
        ring.append(record("a".to_owned()));
        ring.append(record("b".to_owned()));
        assert_eq!((1, 3), ring.window());
        let batch = ring.take(2);
        assert_eq!((0, 2), (batch.dropped, batch.records[0].sequence));
        assert!(ring.take(3).records.is_empty());
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let ring = Ring::new();
        for _ in 0..40 {
            ring.append(record("x".repeat(LOG_LINE_BYTES)));
        }
        let (oldest, next) = ring.window();
        assert!(oldest > 1 && next == 41);
        let batch = ring.take(1);
        assert_eq!((oldest - 1, oldest), (batch.dropped, batch.records[0].sequence));
        assert!(batch.records.len() < 5, "one message holds little");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let ring = Ring::new();
        ring.append(record(format!("x{}", "ä".repeat(LOG_LINE_BYTES))));
        let kept = &ring.take(1).records[0].message;
        assert!(kept.ends_with("ä [cut: 131073 bytes]"), "{}", &kept[kept.len() - 30..]);
    }
}
