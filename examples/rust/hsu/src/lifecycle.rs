//! The states of a worker, and how they follow each other.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::calls::{Call, Calls};
use crate::gen_core::{StartResponse, State};
use crate::lifespan::{BoxError, Lifespan, Progress};
use crate::refusal;

pub struct Lifecycle {
    lifespans: Vec<Arc<dyn Lifespan>>,
    pub calls: Arc<Calls>,
    /// It changes only while `inner` is locked.
    state: watch::Sender<State>,
    inner: Mutex<Inner>,
    /// Whether there is something to release.
    held: tokio::sync::Mutex<bool>,
}

#[derive(Default)]
struct Inner {
    /// Why the last start failed.
    reason: String,
    /// The last start.
    attempt: Option<Attempt>,
}

struct Attempt {
    told: watch::Receiver<StartResponse>,
    abandoned: CancellationToken,
}

impl Lifecycle {
    pub fn new(lifespans: Vec<Arc<dyn Lifespan>>) -> Arc<Self> {
        Arc::new(Self {
            lifespans,
            calls: Calls::new(),
            state: watch::Sender::new(State::Stopped),
            inner: Mutex::default(),
            held: tokio::sync::Mutex::new(false),
        })
    }

    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    pub fn states(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Why the worker is in FAILED; empty in other states.
    pub fn reason(&self) -> String {
        let inner = self.inner();
        if self.state() == State::Failed { inner.reason.clone() } else { String::new() }
    }

    /// Lets a call in and counts it, in RUNNING.
    pub fn admit(&self, deadline: Option<Instant>) -> Result<Arc<Call>, Status> {
        let _inner = self.inner();
        let state = self.state();
        if state == State::Running {
            return Ok(self.calls.begin(deadline));
        }
        let reason = if state == State::Draining { "DRAINING" } else { "NOT_RUNNING" };
        let name = state.as_str_name().trim_start_matches("STATE_");
        Err(refusal::refused(refusal::with_reason(Code::Unavailable, reason, name)))
    }

    /// Starts, or joins the start that runs. What it returns ends with RUNNING or FAILED. The start goes
    /// on without its caller.
    pub async fn start(self: &Arc<Self>) -> Result<watch::Receiver<StartResponse>, Status> {
        loop {
            if let Some(told) = self.begin()? {
                return Ok(told);
            }
            let _ = self.states().wait_for(|state| *state != State::Stopping).await;
        }
    }

    /// Begins a start, unless one runs or has ended well; nothing while the worker is STOPPING.
    fn begin(self: &Arc<Self>) -> Result<Option<watch::Receiver<StartResponse>>, Status> {
        let mut inner = self.inner();
        match self.state() {
            State::Draining => Err(Status::failed_precondition("the worker is on its way out")),
            State::Stopping => Ok(None),
            State::Starting | State::Running => {
                Ok(inner.attempt.as_ref().map(|attempt| attempt.told.clone()))
            }
            State::Stopped | State::Failed | State::Unspecified => {
                let (sender, told) = watch::channel(message(State::Starting, ""));
                let abandoned = CancellationToken::new();
                inner.attempt = Some(Attempt { told: told.clone(), abandoned: abandoned.clone() });
                self.state.send_replace(State::Starting);
                tokio::spawn(Arc::clone(self).acquire(Progress(sender), abandoned));
                Ok(Some(told))
            }
        }
    }

    async fn acquire(self: Arc<Self>, progress: Progress, abandoned: CancellationToken) {
        let began = Instant::now();
        *self.held.lock().await = true;
        let entered = tokio::select! {
            biased;
            () = abandoned.cancelled() => Err("the start was abandoned".into()),
            entered = AssertUnwindSafe(self.enter(&progress)).catch_unwind() => {
                entered.unwrap_or_else(|_| Err("the start panicked; stderr has the rest".into()))
            }
        };
        let reason = match entered {
            Ok(()) if self.change(State::Starting, State::Running) => {
                tracing::info!("running after {:.1?}", began.elapsed());
                progress.0.send_replace(message(State::Running, ""));
                return;
            }
            Ok(()) => "the start was abandoned".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!("the start failed: {reason}");
        self.release().await;
        self.inner().reason.clone_from(&reason);
        if !self.change(State::Starting, State::Failed) {
            self.change(State::Stopping, State::Stopped);
        }
        progress.0.send_replace(message(State::Failed, &reason));
    }

    async fn enter(&self, progress: &Progress) -> Result<(), BoxError> {
        for lifespan in &self.lifespans {
            lifespan.start(progress).await?;
        }
        Ok(())
    }

    /// Stops, or joins the stop that runs; returns STOPPED, or DRAINING on the way out.
    pub async fn stop(self: &Arc<Self>) -> State {
        let mut states = self.states();
        {
            let inner = self.inner();
            match self.state() {
                State::Running => {
                    self.state.send_replace(State::Stopping);
                    tokio::spawn(Arc::clone(self).unwind());
                }
                State::Starting => {
                    self.state.send_replace(State::Stopping);
                    if let Some(attempt) = &inner.attempt {
                        attempt.abandoned.cancel();
                    }
                }
                State::Failed => {
                    self.state.send_replace(State::Stopped);
                }
                State::Stopping | State::Stopped | State::Draining | State::Unspecified => {}
            }
        }
        match states.wait_for(|state| *state != State::Stopping).await.as_deref() {
            Ok(State::Draining) => State::Draining,
            _ => State::Stopped,
        }
    }

    async fn unwind(self: Arc<Self>) {
        self.calls.ended().await;
        self.release().await;
        if self.change(State::Stopping, State::Stopped) {
            tracing::info!("stopped");
        }
    }

    /// From now on calls are refused, and a start that runs is abandoned.
    pub fn drain(&self) {
        let inner = self.inner();
        self.state.send_replace(State::Draining);
        if let Some(attempt) = &inner.attempt {
            attempt.abandoned.cancel();
        }
    }

    /// Waits for a start that was abandoned, and releases what there is.
    pub async fn finish(&self) {
        let told = self.inner().attempt.as_ref().map(|attempt| attempt.told.clone());
        if let Some(mut told) = told {
            let _ = told.wait_for(is_last).await;
        }
        self.release().await;
    }

    async fn release(&self) {
        let mut held = self.held.lock().await;
        if !std::mem::take(&mut *held) {
            return;
        }
        for lifespan in self.lifespans.iter().rev() {
            if AssertUnwindSafe(lifespan.stop()).catch_unwind().await.is_err() {
                tracing::error!("a stop panicked; stderr has the rest");
            }
        }
    }

    fn change(&self, from: State, to: State) -> bool {
        let _inner = self.inner();
        let is_there = self.state() == from;
        if is_there {
            self.state.send_replace(to);
        }
        is_there
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is the last message of a start.
pub fn is_last(told: &StartResponse) -> bool {
    told.state() != State::Starting
}

fn message(state: State, reason: &str) -> StartResponse {
    StartResponse { state: state.into(), reason: reason.to_owned(), ..StartResponse::default() }
}
