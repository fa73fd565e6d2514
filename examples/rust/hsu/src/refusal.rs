//! Statuses that are the worker's own, with what a master reads in them.

use std::collections::HashMap;

use http::HeaderValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The trailer that says whether a handler may have run.
pub const DISPATCHED: &str = "hsu-dispatched";

pub const NO: HeaderValue = HeaderValue::from_static("no");
pub const YES: HeaderValue = HeaderValue::from_static("yes");

/// A status with a reason of the contract.
pub fn with_reason(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, "hsu", HashMap::new());
    Status::with_error_details(code, message, details)
}

/// A status whose call has started nothing.
pub fn refused(mut status: Status) -> Status {
    status.metadata_mut().insert(DISPATCHED, tonic::metadata::MetadataValue::from_static("no"));
    status
}

pub fn unauthenticated() -> Status {
    refused(Status::unauthenticated(
        "the token is missing or wrong: send `authorization: Bearer <token>`",
    ))
}

pub fn cut_off() -> Status {
    with_reason(
        Code::Unavailable,
        "CUT_OFF",
        "the worker is leaving, and the call took longer than its grace",
    )
}

pub fn deadline_passed() -> Status {
    Status::deadline_exceeded("the call's deadline has passed")
}

/// The status of an error that nobody foresaw: INTERNAL, with an id under which the log has the rest. Its
/// text does not leave the process.
pub fn internal(error: &dyn std::error::Error) -> Status {
    unforeseen(&error.to_string())
}

pub fn unforeseen(text: &str) -> Status {
    let id = uuid::Uuid::new_v4().simple().to_string();
    tracing::error!(id, "{text}");
    Status::internal(format!("internal error {id}"))
}

/// What tonic says of messages that are too large, as the contract says it.
pub fn of_tonic(status: Status) -> Status {
    if status.code() != Code::OutOfRange {
        return status;
    }
    let cure = "send less, in several messages if need be";
    if status.message().starts_with("Error, decoded message length too large") {
        Status::resource_exhausted(format!(
            "the request is too large: {}; {cure}",
            status.message()
        ))
    } else if status.message().starts_with("Error, encoded message length too large") {
        let text = format!("the response is too large: {}; {cure}", status.message());
        with_reason(Code::ResourceExhausted, "RESPONSE_TOO_LARGE", text)
    } else {
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_holds_the_details_of_the_contracts_example() {
        let status = with_reason(Code::Unavailable, "NOT_RUNNING", "STOPPED");
        let mut headers = http::HeaderMap::new();
        refused(status).add_header(&mut headers).unwrap();
        let expected = "CA4SB1NUT1BQRUQaPgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkVycm9ySW5mb\
                        xISCgtOT1RfUlVOTklORxIDaHN1";
        assert_eq!(expected, headers["grpc-status-details-bin"]);
        assert_eq!("no", headers[DISPATCHED]);
    }

    #[test]
    fn an_own_out_of_range_stays_what_it_is() {
        let status = of_tonic(Status::out_of_range("sequence 9"));
        assert_eq!((Code::OutOfRange, "sequence 9"), (status.code(), status.message()));
    }
}
