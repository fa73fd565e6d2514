//! `grpc.health.v1.Health`: free for all, and told by the state.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::gen_core::State;
use crate::lifecycle::Lifecycle;

/// The name under which the process itself is known.
const LIVE: &str = "live";

pub struct HealthService {
    pub lifecycle: Arc<Lifecycle>,
    pub interfaces: Vec<&'static str>,
    /// Ends each Watch: the worker is about to exit.
    pub ending: CancellationToken,
}

impl HealthService {
    fn status(&self, name: &str, state: State) -> ServingStatus {
        if name == LIVE {
            ServingStatus::Serving
        } else if !name.is_empty() && !self.interfaces.contains(&name) {
            ServingStatus::ServiceUnknown
        } else if state == State::Running {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

struct Watcher {
    service: HealthService,
    name: String,
    states: watch::Receiver<State>,
    told: Option<ServingStatus>,
}

impl Watcher {
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            let state = *self.states.borrow_and_update();
            let status = self.service.status(&self.name, state);
            if self.told.replace(status) != Some(status) {
                return Some(status);
            }
            tokio::select! {
                changed = self.states.changed() => changed.ok()?,
                () = self.service.ending.cancelled() => return None,
            }
        }
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        match self.status(&name, self.lifecycle.state()) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found(format!("{name:?} is not served here")))
            }
            status => Ok(Response::new(HealthCheckResponse { status: status.into() })),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watcher = Watcher {
            service: Self {
                lifecycle: Arc::clone(&self.lifecycle),
                interfaces: self.interfaces.clone(),
                ending: self.ending.clone(),
            },
            name: request.into_inner().service,
            states: self.lifecycle.states(),
            told: None,
        };
        Ok(Response::new(Box::pin(unfold(watcher, |mut watcher| async {
            let status = watcher.next().await?;
            Some((Ok(HealthCheckResponse { status: status.into() }), watcher))
        }))))
    }
}
