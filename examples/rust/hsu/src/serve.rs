//! The life of a worker, from its first moment to its last.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;

use crate::address::{Address, Listener};
use crate::core::{CoreService, DEFAULT_GRACE};
use crate::departure::Departure;
use crate::descriptors::Descriptors;
use crate::gate::{Entry, GateLayer};
use crate::gen_core::core_server::{CoreServer, SERVICE_NAME as CORE};
use crate::gen_core::{HandshakeResponse, Limits, State};
use crate::health::HealthService;
use crate::launch::{CONTRACT_VERSION, Launch};
use crate::lifecycle::{Lifecycle, is_last};
use crate::lifeline::watch_lifeline;
use crate::logs::log_to;
use crate::ring::Ring;
use crate::worker::Worker;
use crate::{LOG_LINE_BYTES, MESSAGE_BYTES, METADATA_BYTES};

/// How long after its announce line a worker waits for a handshake.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(15);
/// The grace when the lifeline has ended.
const LIFELINE_GRACE: Duration = Duration::from_secs(2);
/// For handlers that were cut off to notice it.
const UNWIND_TIMEOUT: Duration = Duration::from_secs(1);
/// For what `Start` has acquired to be released.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// For the last log records to reach whoever follows them, and connections to end of themselves.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(1500);

const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// Serves until the worker has left, as it was told to. An error says why it could not begin.
pub fn run(worker: Worker) -> Result<(), String> {
    let launch = Launch::take()?;
    let gone = match &launch {
        Some(launch) if launch.has_lifeline => {
            Some(watch_lifeline().map_err(|error| format!("HSU_LIFELINE: {error}"))?)
        }
        _ => None,
    };
    // The threads of one runtime answer calls. Handlers may block all of them; leaving has its own.
    let text = |error: io::Error| format!("no threads can be started: {error}");
    let serving = Builder::new_multi_thread().enable_all().build().map_err(text)?;
    let control = Builder::new_current_thread().enable_all().build().map_err(text)?;
    let left = control.block_on(live(worker, launch, gone, serving.handle()));
    serving.shutdown_background();
    left
}

async fn live(
    worker: Worker,
    mut launch: Option<Launch>,
    gone: Option<watch::Receiver<bool>>,
    serving: &Handle,
) -> Result<(), String> {
    let address = match &launch {
        Some(launch) => launch.listen.clone(),
        None => local(&worker.listen)?,
    };
    let ring = Arc::new(Ring::new());
    let living = Living::new(&worker, launch.as_ref(), &address, Arc::clone(&ring))?;
    let asked = address.clone();
    let (listener, address) = joined(serving.spawn(async move { asked.listen().await })).await??;
    log_to(&ring, launch.is_none());
    watch_signals(Arc::clone(&living.departure))?;
    let interfaces = worker.interfaces.join(", ");
    let server = living.serve(worker, listener, serving)?;

    if let Some(launch) = &mut launch {
        tokio::spawn(watch_master(Arc::clone(&living.departure), gone));
        if let Err(error) = launch.announce(&address) {
            let why = format!("the announce line can't be written: {error}");
            living.departure.ask(Duration::ZERO, &why);
        }
        tokio::spawn(leave_unclaimed(living.claimed.clone(), Arc::clone(&living.departure)));
    } else if let Err(problem) = living.start_alone(&interfaces, &address, serving).await {
        address.remove();
        return Err(problem);
    }
    living.departure.asked().await;
    living.leave(server, serving).await;
    address.remove();
    Ok(())
}

/// What lives as long as the process.
struct Living {
    entry: Arc<Entry>,
    told: HandshakeResponse,
    departure: Arc<Departure>,
    ring: Arc<Ring>,
    claimed: CancellationToken,
    ending: CancellationToken,
    is_open_to_all: bool,
}

impl Living {
    fn new(
        worker: &Worker,
        launch: Option<&Launch>,
        address: &Address,
        ring: Arc<Ring>,
    ) -> Result<Self, String> {
        let known = Descriptors::read(&worker.descriptors)?;
        let interfaces: Vec<_> =
            worker.interfaces.iter().map(|name| known.interface(name)).collect::<Result<_, _>>()?;
        let mut own = HashMap::new();
        for interface in &interfaces {
            for method in &interface.methods {
                let path = format!("/{}/{}", interface.name, method.name);
                own.insert(path, method.client_streaming);
            }
        }
        let lifecycle = Lifecycle::new(worker.lifespans.clone());
        let departure = Arc::new(Departure::new(Arc::clone(&lifecycle)));
        let random = || uuid::Uuid::new_v4().simple().to_string();
        let told = HandshakeResponse {
            contract_version: CONTRACT_VERSION,
            instance: launch.map_or_else(random, |launch| launch.instance.clone()),
            name: worker.name.clone(),
            version: worker.version.clone(),
            pid: std::process::id(),
            language: "rust".to_owned(),
            interfaces,
            limits: Some(Limits {
                message_bytes: MESSAGE_BYTES as u64,
                metadata_bytes: METADATA_BYTES as u64,
                log_line_bytes: LOG_LINE_BYTES as u64,
                concurrent_calls: worker.concurrent_calls,
                threads: 0,
            }),
            state: State::Stopped.into(),
        };
        let entry = Arc::new(Entry {
            token: launch.map(|launch| launch.token.clone()).unwrap_or_default(),
            unit: launch.map(|launch| launch.unit.clone()).unwrap_or_default(),
            own,
            others: vec![CORE, REFLECTION[0], REFLECTION[1]],
            lifecycle,
            room: Arc::new(Semaphore::new(worker.concurrent_calls as usize)),
        });
        Ok(Self {
            is_open_to_all: entry.token.is_empty() && matches!(address, Address::Tcp(..)),
            entry,
            told,
            departure,
            ring,
            claimed: CancellationToken::new(),
            ending: CancellationToken::new(),
        })
    }

    /// Answers from now on, until the worker ends.
    fn serve(
        &self,
        worker: Worker,
        listener: Listener,
        serving: &Handle,
    ) -> Result<JoinHandle<Result<(), tonic::transport::Error>>, String> {
        let core = CoreService {
            told: self.told.clone(),
            lifecycle: Arc::clone(&self.entry.lifecycle),
            departure: Arc::clone(&self.departure),
            ring: Arc::clone(&self.ring),
            room: Arc::clone(&self.entry.room),
            claimed: self.claimed.clone(),
            began: Instant::now(),
            is_open_to_all: self.is_open_to_all,
        };
        let health = HealthService {
            lifecycle: Arc::clone(&self.entry.lifecycle),
            interfaces: worker.interfaces.clone(),
            ending: self.ending.clone(),
        };
        let reflection = || {
            let mut builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name(CORE)
                .with_service_name("grpc.health.v1.Health");
            for set in &worker.descriptors {
                builder = builder.register_encoded_file_descriptor_set(set);
            }
            for name in &worker.interfaces {
                builder = builder.with_service_name(*name);
            }
            builder
        };
        let wrong = |error| format!("the descriptors can't be told to others: {error}");
        let (v1, v1alpha) =
            (reflection().build_v1().map_err(wrong)?, reflection().build_v1alpha().map_err(wrong)?);
        let gzip = CompressionEncoding::Gzip;
        let routes = worker
            .routes
            .add_service(CoreServer::new(core).accept_compressed(gzip))
            .add_service(HealthServer::new(health))
            .add_service(v1)
            .add_service(v1alpha);
        // The list of headers holds more than a call's metadata.
        let headers = u32::try_from(METADATA_BYTES * 2).unwrap_or(u32::MAX);
        let router = Server::builder()
            .http2_max_header_list_size(headers)
            .layer(GateLayer(Arc::clone(&self.entry)))
            .add_routes(routes);
        let ended = self.ending.clone().cancelled_owned();
        Ok(serving.spawn(async move {
            match listener {
                Listener::Unix(socket) => {
                    let incoming = UnixListenerStream::new(socket);
                    router.serve_with_incoming_shutdown(incoming, ended).await
                }
                Listener::Tcp(socket) => {
                    let incoming = TcpListenerStream::new(socket);
                    router.serve_with_incoming_shutdown(incoming, ended).await
                }
            }
        }))
    }

    /// Starts without a master, unless somebody asks the worker to leave meanwhile.
    async fn start_alone(
        &self,
        interfaces: &str,
        address: &Address,
        serving: &Handle,
    ) -> Result<(), String> {
        let lifecycle = Arc::clone(&self.entry.lifecycle);
        let started = joined(serving.spawn(async move {
            let mut told = lifecycle.start().await.map_err(|status| status.message().to_owned())?;
            let last = told.wait_for(is_last).await.map_err(|error| error.to_string())?;
            if last.state() == State::Running { Ok(()) } else { Err(last.reason.clone()) }
        }));
        tokio::select! {
            ended = started => {
                ended?.map_err(|reason: String| format!("the start failed: {reason}"))?;
                let _ = writeln!(io::stdout(), "serving {interfaces} at {address}");
            }
            () = self.departure.asked() => {}
        }
        Ok(())
    }

    /// Leaves in this order. Core and health answer to the end.
    async fn leave(
        &self,
        server: JoinHandle<Result<(), tonic::transport::Error>>,
        serving: &Handle,
    ) {
        let lifecycle = &self.entry.lifecycle;
        // The calls in flight, up to the grace.
        tokio::select! {
            biased;
            () = lifecycle.calls.ended() => {}
            () = self.departure.over() => {
                let count = lifecycle.calls.load().in_flight;
                tracing::warn!("{count} calls are cut off: they took longer than the grace");
                lifecycle.calls.cut.cancel();
                let _ = timeout(UNWIND_TIMEOUT, lifecycle.calls.ended()).await;
            }
        }
        // What Start has acquired.
        let finished = Arc::clone(lifecycle);
        let finished = serving.spawn(async move { finished.finish().await });
        if timeout(RELEASE_TIMEOUT, finished).await.is_err() {
            tracing::warn!("what the start acquired is not released; leaving without");
        }
        // Whoever follows the log reads its last record.
        tracing::info!("left");
        self.ring.close();
        self.ending.cancel();
        let _ = timeout(FLUSH_TIMEOUT, server).await;
    }
}

fn local(listen: &str) -> Result<Address, String> {
    let address = Address::parse(listen)?;
    if address.is_local() {
        return Ok(address);
    }
    Err(format!(
        "address {address}: others in the network could read and make calls; listen at \
         tcp:127.0.0.1:0"
    ))
}

async fn joined<T>(task: JoinHandle<T>) -> Result<T, String> {
    task.await.map_err(|error| error.to_string())
}

/// The first signal asks the worker to leave, the second one ends the process.
fn watch_signals(departure: Arc<Departure>) -> Result<(), String> {
    let told = |kind| signal(kind).map_err(|error| format!("no signals can be caught: {error}"));
    let (mut terminate, mut interrupt) =
        (told(SignalKind::terminate())?, told(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let mut is_second = false;
        loop {
            let (kind, name) = tokio::select! {
                _ = terminate.recv() => (SignalKind::terminate(), "SIGTERM"),
                _ = interrupt.recv() => (SignalKind::interrupt(), "SIGINT"),
            };
            if is_second {
                std::process::exit(128 + kind.as_raw_value());
            }
            is_second = true;
            departure.ask(DEFAULT_GRACE, name);
        }
    });
    Ok(())
}

async fn watch_master(departure: Arc<Departure>, gone: Option<watch::Receiver<bool>>) {
    let Some(mut gone) = gone else { return };
    let _ = gone.wait_for(|is_gone| *is_gone).await;
    departure.ask(LIFELINE_GRACE, "the lifeline has ended");
}

/// Leaves when no master makes a handshake: it died in between.
async fn leave_unclaimed(claimed: CancellationToken, departure: Arc<Departure>) {
    if timeout(CLAIM_TIMEOUT, claimed.cancelled()).await.is_err() {
        let why = format!("no master made a handshake within {CLAIM_TIMEOUT:?}");
        departure.ask(Duration::ZERO, &why);
    }
}
