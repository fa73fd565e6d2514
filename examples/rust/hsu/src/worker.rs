//! What a process serves, and what that needs.

use std::convert::Infallible;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

use crate::lifespan::Lifespan;
use crate::serve;

/// A worker: its interfaces, what they need, and the life that it leads.
#[must_use = "a worker does nothing until it runs"]
pub struct Worker {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) routes: Routes,
    pub(crate) interfaces: Vec<&'static str>,
    pub(crate) descriptors: Vec<&'static [u8]>,
    pub(crate) lifespans: Vec<Arc<dyn Lifespan>>,
    pub(crate) concurrent_calls: u32,
    pub(crate) listen: String,
}

impl Worker {
    /// A worker without interfaces. Name and version are told to the master.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            routes: Routes::default(),
            interfaces: Vec::new(),
            descriptors: vec![crate::DESCRIPTORS],
            lifespans: Vec::new(),
            concurrent_calls: 100,
            listen: "tcp:127.0.0.1:0".to_owned(),
        }
    }

    /// Serves one more interface, as `hsu_build` has made its server. The contract wants that it takes
    /// gzip, and refuses answers that are too large:
    ///
    /// ```ignore
    /// ShouterServer::new(shouter)
    ///     .accept_compressed(CompressionEncoding::Gzip)
    ///     .max_encoding_message_size(hsu::MESSAGE_BYTES)
    /// ```
    pub fn interface<S>(mut self, server: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.interfaces.push(S::NAME);
        self.routes = self.routes.add_service(server);
        self
    }

    /// The descriptors of interfaces, a serialised `FileDescriptorSet`: `hsu::include_descriptors!()`.
    pub fn descriptors(mut self, set: &'static [u8]) -> Self {
        self.descriptors.push(set);
        self
    }

    /// What the interfaces need while they answer calls. Several are started in this order, and stopped in
    /// the other one.
    pub fn lifespan(mut self, lifespan: impl Lifespan) -> Self {
        self.lifespans.push(Arc::new(lifespan));
        self
    }

    /// How many calls run at the same time; further ones wait. 100 unless set.
    pub fn concurrent_calls(mut self, count: u32) -> Self {
        self.concurrent_calls = count;
        self
    }

    /// Where to listen when no master has launched the process: `unix:<path>` or `tcp:<host>:<port>`, on
    /// this machine. `tcp:127.0.0.1:0`, any free port, unless set.
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = address.to_owned();
        self
    }

    /// Lives as a worker until it is told to leave. Call it first thing in `main`, before there are
    /// threads: it takes the launch out of the environment, and watches from then on whether the master
    /// is there. What takes its time belongs into [`Lifespan::start`].
    ///
    /// What `tracing` events say goes into the log that the master reads.
    ///
    /// It ends the process, with code 0, and returns only when the worker could not begin; stderr then
    /// has the reason.
    pub fn run(self) -> ExitCode {
        match serve::run(self) {
            Ok(()) => std::process::exit(0),
            Err(problem) => {
                // Nobody may be there to read it.
                let _ = writeln!(io::stderr(), "{problem}");
                ExitCode::from(3)
            }
        }
    }
}
