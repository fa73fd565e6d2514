//! An HSU with two interfaces in one process: A summarises texts, B finds documents. It finds what the
//! Python ones in `examples/hsu_a_service1` and `examples/hsu_b_service1` find, and takes B's index file.

mod a;
mod b;

use std::process::ExitCode;

use clap::{Arg, Command};
use tonic::codec::CompressionEncoding::Gzip;

use crate::a::Summarizer;
use crate::a::proto::interface_a_server::InterfaceAServer;
use crate::b::Index;
use crate::b::proto::interface_b_server::InterfaceBServer;

fn main() -> ExitCode {
    let listen = Arg::new("listen")
        .long("listen")
        .value_name("ADDRESS")
        .default_value("tcp:127.0.0.1:0")
        .help("where to listen when no master has launched it: unix:<path> or tcp:<host>:<port>");
    let only = Arg::new("only")
        .long("only")
        .value_name("INTERFACE")
        .value_parser(["a", "b"])
        .help("serve this interface and not the other one");
    let given = Command::new("hsu_abc_service")
        .about("An HSU that summarises texts and finds documents.")
        .version(env!("CARGO_PKG_VERSION"))
        .args([listen, only])
        .get_matches();
    let listen = given.get_one::<String>("listen").map_or("", String::as_str);
    let only = given.get_one::<String>("only").map(String::as_str);

    let mut worker = hsu::Worker::new("hsu-abc-service", env!("CARGO_PKG_VERSION"))
        .descriptors(hsu::include_descriptors!())
        .listen(listen);
    if only != Some("b") {
        let summarizer = Summarizer::default();
        let server = InterfaceAServer::new(summarizer.clone())
            .accept_compressed(Gzip)
            .max_encoding_message_size(hsu::MESSAGE_BYTES);
        worker = worker.interface(server).lifespan(summarizer);
    }
    if only != Some("a") {
        let index = Index::default();
        let server = InterfaceBServer::new(index.clone())
            .accept_compressed(Gzip)
            .max_encoding_message_size(hsu::MESSAGE_BYTES);
        worker = worker.interface(server).lifespan(index);
    }
    worker.run()
}
