//! Descriptor 0, whose end is the master's end.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::thread;

use tokio::sync::watch;

/// Watches descriptor 0 from now on, and puts an empty one in its place. What it returns becomes true
/// when the master has gone.
pub fn watch_lifeline() -> io::Result<watch::Receiver<bool>> {
    let mut lifeline = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let (told, gone) = watch::channel(false);
    thread::Builder::new().name("lifeline".to_owned()).spawn(move || {
        let mut unread = [0; 4096];
        loop {
            match lifeline.read(&mut unread) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        told.send_replace(true);
    })?;
    Ok(gone)
}
