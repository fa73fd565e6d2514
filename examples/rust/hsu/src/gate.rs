//! What calls go through before anything of them is read: token, state, count and room.

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceExt};

use crate::answer::{Answer, amend, panicked, translate};
use crate::calls::{CALL, Call};
use crate::lifecycle::Lifecycle;
use crate::refusal;

/// The metadata that names the units which a call has come through.
const CHAIN: &str = "hsu-call-chain";

/// What calls whose callers have just gone may take to end, and to leave room.
const CYCLE_PATIENCE: Duration = Duration::from_millis(200);

pub struct Entry {
    /// What every call has to present; empty: nothing.
    pub token: String,
    /// The unit that the worker stands for; empty: none.
    pub unit: String,
    /// The paths of the worker's own methods, and whether their requests are a stream.
    pub own: HashMap<String, bool>,
    /// Other services that are served.
    pub others: Vec<&'static str>,
    pub lifecycle: Arc<Lifecycle>,
    /// The room of calls that run.
    pub room: Arc<Semaphore>,
}

#[derive(Clone)]
pub struct GateLayer(pub Arc<Entry>);

#[derive(Clone)]
pub struct Gate {
    entry: Arc<Entry>,
    routes: Routes,
}

impl Layer<Routes> for GateLayer {
    type Service = Gate;

    fn layer(&self, routes: Routes) -> Gate {
        Gate { entry: Arc::clone(&self.0), routes }
    }
}

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (entry, routes) = (Arc::clone(&self.entry), self.routes.clone());
        Box::pin(async move {
            Ok(entry.answer(request, routes).await.unwrap_or_else(Status::into_http))
        })
    }
}

impl Entry {
    async fn answer(
        &self,
        request: Request<Body>,
        routes: Routes,
    ) -> Result<Response<Body>, Status> {
        let path = request.uri().path();
        let service = path.split('/').nth(1).unwrap_or_default();
        if service == "grpc.health.v1.Health" {
            return pass(request, routes).await;
        }
        self.authenticate(request.headers())?;
        let Some(is_stream) = self.own.get(path).copied() else {
            if self.others.contains(&service) {
                return pass(request, routes).await;
            }
            return Err(refusal::refused(Status::unimplemented(format!(
                "{path} is not served here"
            ))));
        };
        let call = self.lifecycle.admit(deadline(request.headers()))?;
        let handled = async {
            let room = self.room(request.headers()).await?;
            if is_stream {
                call.dispatch();
            }
            let handled = AssertUnwindSafe(pass(request, routes)).catch_unwind().await;
            let response = handled.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))?;
            Ok((response, room))
        };
        let outcome = tokio::select! {
            outcome = CALL.scope(Arc::clone(&call), handled) => outcome,
            status = call.ended() => Err(status),
        };
        Ok(finish(outcome, call))
    }

    /// Lets nobody in without the token.
    fn authenticate(&self, headers: &HeaderMap) -> Result<(), Status> {
        if self.token.is_empty() {
            return Ok(());
        }
        let mut given = headers.get_all("authorization").iter();
        let presented = given.next().filter(|_| given.next().is_none());
        let expected = format!("Bearer {}", self.token);
        match presented {
            Some(value) if bool::from(value.as_bytes().ct_eq(expected.as_bytes())) => Ok(()),
            _ => Err(refusal::unauthenticated()),
        }
    }

    async fn room(&self, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, Status> {
        let room = Arc::clone(&self.room).acquire_owned();
        let chain = headers.get(CHAIN).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_cycle =
            !self.unit.is_empty() && chain.split(',').any(|unit| unit.trim() == self.unit);
        let patience = if is_cycle { CYCLE_PATIENCE } else { Duration::MAX };
        match timeout(patience, room).await {
            // Nobody closes it.
            Ok(room) => room.map_err(|closed| Status::internal(closed.to_string())),
            Err(_) => Err(refusal::with_reason(
                Code::FailedPrecondition,
                "CALL_CYCLE",
                format!(
                    "the call came back to {} by {chain}, and would wait for the room that it may be \
                     taking itself",
                    self.unit
                ),
            )),
        }
    }
}

async fn pass(request: Request<Body>, routes: Routes) -> Result<Response<Body>, Status> {
    match routes.oneshot(request).await {
        Ok(mut response) => {
            translate(response.headers_mut());
            Ok(response)
        }
        Err(never) => match never {},
    }
}

fn finish(
    outcome: Result<(Response<Body>, OwnedSemaphorePermit), Status>,
    call: Arc<Call>,
) -> Response<Body> {
    match outcome {
        Ok((mut response, room)) => {
            amend(response.headers_mut(), &call);
            response.map(|body| Body::new(Answer::new(body, call, room)))
        }
        Err(status) => {
            let mut response = status.into_http();
            amend(response.headers_mut(), &call);
            response
        }
    }
}

/// When the caller stops waiting.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u32 = count.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(3600) * count,
        "M" => Duration::from_secs(60) * count,
        "S" => Duration::from_secs(count.into()),
        "m" => Duration::from_millis(count.into()),
        "u" => Duration::from_micros(count.into()),
        "n" => Duration::from_nanos(count.into()),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        deadline(&headers).map(|at| (at - Instant::now()).as_secs_f64().round() as u64)
    }

    #[test]
    fn a_deadline_is_read_in_all_units() {
        for text in ["1H", "60M", "3600S", "3600000m"] {
            assert_eq!(Some(3600), after(text), "{text}");
        }
        assert_eq!(Some(3), after("3000000u"));
        assert_eq!(Some(0), after("99999999n"));
        assert!(after("1x").is_none() && after("S").is_none() && after("ä").is_none());
    }
}
