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
    let given = Command::new("hsu_abc_service")
        .about("An HSU that summarises texts and finds documents.")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(listen)
        .get_matches();
    let listen = given.get_one::<String>("listen").map_or("", String::as_str);

    let summarizer = Summarizer::default();
    let index = Index::default();
    hsu::Worker::new("hsu-abc-service", env!("CARGO_PKG_VERSION"))
        .descriptors(hsu::include_descriptors!())
        .listen(listen)
        .interface(
            InterfaceAServer::new(summarizer.clone())
                .accept_compressed(Gzip)
                .max_encoding_message_size(hsu::MESSAGE_BYTES),
        )
        .lifespan(summarizer)
        .interface(
            InterfaceBServer::new(index.clone())
                .accept_compressed(Gzip)
                .max_encoding_message_size(hsu::MESSAGE_BYTES),
        )
        .lifespan(index)
        .run()
}
