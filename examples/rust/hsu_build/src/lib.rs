//! Makes Rust of `.proto` files, in the build script of the crate that serves them:
//!
//! ```no_run
//! hsu_build::compile(&["mysvc.proto"], &["../proto"]).expect("the .proto files compile");
//! ```
//!
//! It needs no `protoc`. What it makes lies in the build folder, and [`hsu::include_interface`]
//! (`hsu::include_interface!("mysvc.v1")`) takes it in.
//!
//! [`hsu::include_interface`]: ../hsu/macro.include_interface.html

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

/// Compiles files, which are found in the folders `includes`, together with their descriptors.
///
/// # Errors
///
/// A file is not there or wrong; the text says where.
pub fn compile(files: &[&str], includes: &[&str]) -> Result<(), Box<dyn Error>> {
    for include in includes {
        println!("cargo::rerun-if-changed={include}");
    }
    let descriptors = protox::compile(files, includes)?;
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(folder.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .codec_path("hsu::Codec")
        .compile_fds(descriptors)?;
    Ok(())
}
