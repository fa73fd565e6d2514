//! The wish that the worker leaves, and until when calls may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::lifecycle::Lifecycle;

/// Nobody waits for longer than this.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

pub struct Departure {
    lifecycle: Arc<Lifecycle>,
    /// The end of the grace; nothing as long as nobody has asked.
    deadline: watch::Sender<Option<Instant>>,
}

impl Departure {
    pub fn new(lifecycle: Arc<Lifecycle>) -> Self {
        Self { lifecycle, deadline: watch::Sender::new(None) }
    }

    /// Asks the worker to leave: draining begins now. A second wish may shorten the grace, and never
    /// makes it longer. Returns the grace that is kept.
    pub fn ask(&self, grace: Duration, why: &str) -> Duration {
        self.lifecycle.drain();
        let now = Instant::now();
        let asked = now + grace.min(LONGEST);
        let mut kept = asked;
        self.deadline.send_modify(|deadline| {
            kept = deadline.map_or(asked, |earlier| earlier.min(asked));
            *deadline = Some(kept);
        });
        let left = kept.saturating_duration_since(now);
        tracing::info!("leaving: {why}; calls in flight may take {left:.1?}");
        left
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        let _ = self.deadline.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until the grace is over.
    pub async fn over(&self) {
        let mut changes = self.deadline.subscribe();
        loop {
            let deadline = *changes.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(deadline.unwrap_or_else(|| Instant::now() + LONGEST)) => {
                    return;
                }
                _ = changes.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_wish_shortens_the_grace_and_never_makes_it_longer() {
        let departure = Departure::new(Lifecycle::new(Vec::new()));
        let (long, short) = (Duration::from_secs(600), Duration::from_millis(1));
        assert!(departure.ask(long, "first") <= long);
        assert!(departure.ask(long * 2, "later") <= long);
        assert!(departure.ask(short, "sooner") <= short);
        departure.over().await;
    }
}
