//! The calls in flight: accepted, and not ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::refusal;

pub struct Calls {
    table: Mutex<Table>,
    count: watch::Sender<usize>,
    /// Ends all of them: the grace is over.
    pub cut: CancellationToken,
}

struct Table {
    running: HashMap<u64, Running>,
    total: u64,
    changed: Instant,
}

struct Running {
    began: Instant,
    is_bounded: bool,
}

/// How busy the worker is.
pub struct Load {
    pub in_flight: u32,
    pub total: u64,
    pub idle: Duration,
    pub oldest: Duration,
    pub oldest_unbounded: Duration,
}

/// One call; it ends when it is dropped.
pub struct Call {
    calls: Arc<Calls>,
    number: u64,
    deadline: Option<Instant>,
    dispatched: AtomicBool,
}

tokio::task_local! {
    /// The call that is being handled.
    pub static CALL: Arc<Call>;
}

impl Calls {
    pub fn new() -> Arc<Self> {
        let table = Table { running: HashMap::new(), total: 0, changed: Instant::now() };
        Arc::new(Self {
            table: Mutex::new(table),
            count: watch::Sender::new(0),
            cut: CancellationToken::new(),
        })
    }

    pub fn begin(self: &Arc<Self>, deadline: Option<Instant>) -> Arc<Call> {
        let mut table = self.table();
        let number = table.total;
        let began = Instant::now();
        table.total += 1;
        table.changed = began;
        table.running.insert(number, Running { began, is_bounded: deadline.is_some() });
        self.count.send_replace(table.running.len());
        Arc::new(Call {
            calls: Arc::clone(self),
            number,
            deadline,
            dispatched: AtomicBool::new(false),
        })
    }

    /// Waits until there is none.
    pub async fn ended(&self) {
        // The sender lives as long as this: there is no error.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    pub fn load(&self) -> Load {
        let table = self.table();
        let now = Instant::now();
        let oldest = |began: Option<Instant>| began.map_or(Duration::ZERO, |began| now - began);
        let unbounded = table.running.values().filter(|each| !each.is_bounded);
        Load {
            in_flight: table.running.len().try_into().unwrap_or(u32::MAX),
            total: table.total,
            idle: now - table.changed,
            oldest: oldest(table.running.values().map(|each| each.began).min()),
            oldest_unbounded: oldest(unbounded.map(|each| each.began).min()),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// From now on a handler may have run.
    pub fn dispatch(&self) {
        self.dispatched.store(true, Ordering::Relaxed);
    }

    pub fn is_dispatched(&self) -> bool {
        self.dispatched.load(Ordering::Relaxed)
    }

    /// Waits until the call may take no longer; then it ends with this status.
    pub fn ended(&self) -> impl Future<Output = Status> + Send + use<> {
        let (deadline, cut) = (self.deadline, self.calls.cut.clone());
        async move {
            let overdue = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cut.cancelled() => refusal::cut_off(),
                () = overdue => refusal::deadline_passed(),
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut table = self.calls.table();
        table.running.remove(&self.number);
        table.changed = Instant::now();
        self.calls.count.send_replace(table.running.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_ends_with_its_last_owner() {
        let calls = Calls::new();
        let call = calls.begin(None);
        let other = Arc::clone(&call);
        drop(call);
        assert_eq!((1, 1), (calls.load().in_flight, calls.load().total));
        assert!(calls.load().oldest_unbounded > Duration::ZERO);
        drop(other);
        calls.ended().await;
        assert_eq!((0, 1), (calls.load().in_flight, calls.load().total));
    }

    #[test]
    fn a_call_with_a_deadline_is_not_unbounded() {
        let calls = Calls::new();
        let _call = calls.begin(Some(Instant::now()));
        assert_eq!(Duration::ZERO, calls.load().oldest_unbounded);
    }
}
