//! What a worker owes to its master: the [launch contract] on tonic.
//!
//! ```no_run
//! # mod shouter {
//! #     use hsu::Lifespan;
//! #     #[derive(Clone)]
//! #     pub struct Shouter;
//! #     impl Lifespan for Shouter {}
//! # }
//! use std::process::ExitCode;
//!
//! # fn life() -> ExitCode {
//! hsu::Worker::new("shouter", "0.1.0")
//!     // .descriptors(hsu::include_descriptors!())
//!     // .interface(ShouterServer::new(shouter::Shouter))
//!     .lifespan(shouter::Shouter)
//!     .run()
//! # }
//! ```
//!
//! A process that a master has launched does what the master says. Any other one starts at once, says
//! on stdout where it listens, and serves until SIGTERM, SIGINT or `Core.Shutdown`.
//!
//! [launch contract]: ../../../docs/launch-contract.md

// The code that is made of .proto files says `hsu::Codec`, here too.
extern crate self as hsu;

mod address;
mod answer;
mod calls;
mod codec;
mod core;
mod departure;
mod descriptors;
mod gate;
mod health;
mod launch;
mod lifecycle;
mod lifeline;
mod lifespan;
mod logs;
mod refusal;
mod ring;
mod serve;
mod work;
mod worker;

pub use codec::Codec;
pub use lifespan::{BoxError, Lifespan, Progress};
pub use refusal::internal;
pub use work::blocking;
pub use worker::Worker;

/// Bytes of one message at the most, each way: what tonic takes unless told otherwise.
pub const MESSAGE_BYTES: usize = 4 << 20;

/// Bytes of one call's metadata at the most: names, values, and 32 for each pair.
pub const METADATA_BYTES: usize = 16 << 10;

/// Bytes of one log record's message at the most; longer ones are cut.
pub const LOG_LINE_BYTES: usize = 64 << 10;

/// Takes in what `hsu_build::compile` has made of a package of `.proto` files.
#[macro_export]
macro_rules! include_interface {
    ($package:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
    };
}

/// The descriptors of all files that `hsu_build::compile` was given.
#[macro_export]
macro_rules! include_descriptors {
    () => {
        include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"))
    };
}

/// What is made of `hsu_core.proto`.
#[allow(clippy::all, clippy::pedantic)]
mod gen_core {
    crate::include_interface!("hsu.core.v1");
}

const DESCRIPTORS: &[u8] = include_descriptors!();
