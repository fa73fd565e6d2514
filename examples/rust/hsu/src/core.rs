//! `hsu.core.v1.Core`: how a master drives the worker.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::departure::Departure;
use crate::gen_core::core_server::Core;
use crate::gen_core::{
    GetStatusRequest, GetStatusResponse, HandshakeRequest, HandshakeResponse, PingRequest,
    PingResponse, ShutdownRequest, ShutdownResponse, StartRequest, StartResponse, State,
    StopRequest, StopResponse, StreamLogsRequest, StreamLogsResponse,
};
use crate::lifecycle::{Lifecycle, is_last};
use crate::logs;
use crate::ring::Ring;

/// The grace of who names none.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

pub struct CoreService {
    /// What every handshake tells; but for the state.
    pub told: HandshakeResponse,
    pub lifecycle: Arc<Lifecycle>,
    pub departure: Arc<Departure>,
    pub ring: Arc<Ring>,
    pub room: Arc<Semaphore>,
    /// Cancelled by the first handshake.
    pub claimed: CancellationToken,
    pub began: Instant,
    /// Anybody can reach the worker and nobody has to present a token. Then nobody may start it, stop it
    /// or read its log from outside.
    pub is_open_to_all: bool,
}

impl CoreService {
    fn not_for_all(&self, method: &str) -> Result<(), Status> {
        if !self.is_open_to_all {
            return Ok(());
        }
        Err(Status::permission_denied(format!(
            "{method} is refused: this worker asks for no token and listens on TCP; let it listen at \
             a Unix socket"
        )))
    }

    fn uptime(&self) -> Option<prost_types::Duration> {
        message(self.began.elapsed())
    }
}

#[tonic::async_trait]
impl Core for CoreService {
    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        let load = self.lifecycle.calls.load();
        Ok(Response::new(PingResponse {
            payload: request.into_inner().payload,
            instance: self.told.instance.clone(),
            state: self.lifecycle.state().into(),
            uptime: self.uptime(),
            // Through the room of calls, when there is some.
            busy: self.room.try_acquire().is_err(),
            calls_in_flight: load.in_flight,
            oldest_call_age: message(load.oldest),
            // Calls end with their deadline.
            most_overdue: message(Duration::ZERO),
            oldest_unbounded_call_age: message(load.oldest_unbounded),
        }))
    }

    async fn handshake(
        &self,
        _: Request<HandshakeRequest>,
    ) -> Result<Response<HandshakeResponse>, Status> {
        self.claimed.cancel();
        let state = self.lifecycle.state().into();
        Ok(Response::new(HandshakeResponse { state, ..self.told.clone() }))
    }

    type StartStream = Pin<Box<dyn Stream<Item = Result<StartResponse, Status>> + Send>>;

    async fn start(&self, _: Request<StartRequest>) -> Result<Response<Self::StartStream>, Status> {
        self.not_for_all("Start")?;
        let told = self.lifecycle.start().await?;
        Ok(Response::new(Box::pin(progress(told))))
    }

    async fn stop(&self, _: Request<StopRequest>) -> Result<Response<StopResponse>, Status> {
        self.not_for_all("Stop")?;
        let state = self.lifecycle.stop().await.into();
        Ok(Response::new(StopResponse { state }))
    }

    async fn get_status(
        &self,
        _: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let load = self.lifecycle.calls.load();
        Ok(Response::new(GetStatusResponse {
            state: self.lifecycle.state().into(),
            reason: self.lifecycle.reason(),
            uptime: self.uptime(),
            calls_in_flight: load.in_flight,
            calls_total: load.total,
            idle: message(load.idle),
            resident_bytes: resident_bytes(),
            log: Some(logs::window(&self.ring, &self.told.instance)),
        }))
    }

    type StreamLogsStream = Pin<Box<dyn Stream<Item = Result<StreamLogsResponse, Status>> + Send>>;

    async fn stream_logs(
        &self,
        request: Request<StreamLogsRequest>,
    ) -> Result<Response<Self::StreamLogsStream>, Status> {
        self.not_for_all("StreamLogs")?;
        let stream = logs::stream(&self.ring, &self.told.instance, request.into_inner())?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn shutdown(
        &self,
        request: Request<ShutdownRequest>,
    ) -> Result<Response<ShutdownResponse>, Status> {
        self.not_for_all("Shutdown")?;
        let asked = match request.into_inner().grace {
            None => DEFAULT_GRACE,
            // One below 0 is none.
            Some(grace) => Duration::try_from(grace).unwrap_or_default(),
        };
        let grace = message(self.departure.ask(asked, "Shutdown"));
        Ok(Response::new(ShutdownResponse { grace }))
    }
}

/// What a start tells, to its last message.
fn progress(
    told: watch::Receiver<StartResponse>,
) -> impl Stream<Item = Result<StartResponse, Status>> + Send {
    let first = Some((told, true));
    unfold(first, |state| async {
        let (mut told, is_first) = state?;
        if !is_first && told.changed().await.is_err() {
            let reason = "the start ended without a word".to_owned();
            let last = StartResponse { state: State::Failed.into(), reason, ..Default::default() };
            return Some((Ok(last), None));
        }
        let message = told.borrow_and_update().clone();
        let next = (!is_last(&message)).then_some((told, false));
        Some((Ok(message), next))
    })
}

fn message(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

/// The memory of this process; 0 where the system doesn't tell it in a file.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
