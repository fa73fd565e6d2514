//! The body of an answer: the call lasts as long as it does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio::sync::OwnedSemaphorePermit;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::{Code, Status};

use crate::calls::{CALL, Call};
use crate::refusal::{self, DISPATCHED};

/// Nothing is left of it once the call has ended.
pub struct Answer(Option<Rest>);

struct Rest {
    body: Body,
    call: Arc<Call>,
    ended: Pin<Box<dyn Future<Output = Status> + Send>>,
    _room: OwnedSemaphorePermit,
}

impl Answer {
    pub fn new(body: Body, call: Arc<Call>, room: OwnedSemaphorePermit) -> Self {
        let ended = Box::pin(call.ended());
        Self(Some(Rest { body, call, ended, _room: room }))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(rest) = &mut self.0 else { return Poll::Ready(None) };
        let polled = match rest.ended.as_mut().poll(cx) {
            Poll::Ready(status) => Poll::Ready(Some(Ok(trailers_of(status)))),
            Poll::Pending => rest.poll_handler(cx),
        };
        let amended = polled.map_ok(|frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                amend(&mut trailers, &rest.call);
                Frame::trailers(trailers)
            }
            Err(data) => data,
        });
        let goes_on = match &amended {
            Poll::Pending => true,
            Poll::Ready(Some(Ok(frame))) => frame.is_data(),
            Poll::Ready(_) => false,
        };
        if !goes_on {
            self.0 = None;
        }
        amended
    }

    /// An error that stands in the headers has no body: they end the answer.
    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|rest| rest.body.is_end_stream())
    }
}

impl Rest {
    fn poll_handler(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, call, .. } = self;
        let poll = || Pin::new(&mut *body).poll_frame(cx);
        catch_unwind(AssertUnwindSafe(|| CALL.sync_scope(Arc::clone(call), poll)))
            .unwrap_or_else(|panic| Poll::Ready(Some(Ok(trailers_of(panicked(panic.as_ref()))))))
    }
}

fn trailers_of(status: Status) -> Frame<Bytes> {
    Frame::trailers(headers_of(&status))
}

fn headers_of(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if status.add_header(&mut headers).is_err() {
        headers.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    headers
}

/// Makes an error, in trailers or headers, what the contract says; leaves a success alone.
pub fn amend(headers: &mut HeaderMap, call: &Call) {
    let Some(status) = Status::from_header_map(headers) else { return };
    if status.code() == Code::Ok {
        return;
    }
    translate(headers);
    // Only here is it known: a handler may pass on what another worker said.
    let dispatched = if call.is_dispatched() { refusal::YES } else { refusal::NO };
    headers.insert(DISPATCHED, dispatched);
}

/// Says of messages that are too large what the contract says.
pub fn translate(headers: &mut HeaderMap) {
    if let Some(status) = Status::from_header_map(headers)
        && status.code() == Code::OutOfRange
    {
        headers.extend(headers_of(&refusal::of_tonic(status)));
    }
}

/// What the caller is told of a panic.
pub fn panicked(panic: &(dyn Any + Send)) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    refusal::unforeseen(&format!("a handler panicked: {text}"))
}
