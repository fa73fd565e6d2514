//! What a worker acquires when it is started, and releases when it is stopped.

use std::error::Error;

use tokio::sync::watch;

use crate::gen_core::{StartResponse, State};

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What an interface needs while it answers calls. Both methods do nothing unless written.
#[tonic::async_trait]
pub trait Lifespan: Send + Sync + 'static {
    /// Acquires it. Calls come only after it, and it comes again after each [`Lifespan::stop`]. When the
    /// start is abandoned its future is dropped, and `stop` follows. Its error is told to the master, which
    /// may try again.
    async fn start(&self, _progress: &Progress) -> Result<(), BoxError> {
        Ok(())
    }

    /// Releases it, also after a start that failed. No call is in flight. On the way out it has 5 s.
    async fn stop(&self) {}
}

/// Tells the master how far a long start is: each report extends its patience.
pub struct Progress(pub(crate) watch::Sender<StartResponse>);

impl Progress {
    /// `fraction` is between 0 and 1; 0 when it is not known.
    pub fn report(&self, fraction: f64, text: &str) {
        self.0.send_replace(StartResponse {
            state: State::Starting.into(),
            fraction,
            text: text.to_owned(),
            reason: String::new(),
        });
    }
}
