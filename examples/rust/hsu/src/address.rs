//! Where a server listens, and how that is written.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use tokio::net::{TcpListener, UnixListener};

/// The longest Unix path of the contract, in bytes.
const MAX_UNIX_PATH: usize = 100;

const CURE: &str = "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(String),
    /// The host as it was written: IPv6 in brackets.
    Tcp(String, u16),
}

/// A socket that listens.
pub enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Address {
    /// Reads `unix:/run/x.sock` or `tcp:127.0.0.1:7000`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |problem: &str| Err(format!("address {text:?}: {problem}"));
        match text.split_once(':') {
            Some(("unix", path)) => match check_path(path) {
                Ok(()) => Ok(Self::Unix(path.to_owned())),
                Err(problem) => wrong(&problem),
            },
            Some(("tcp", rest)) => {
                let Some((host, port)) = rest.rsplit_once(':') else {
                    return wrong(&format!("no host with a port; {CURE}"));
                };
                if !is_host(host) {
                    return wrong(&format!("no host with a port; {CURE}"));
                }
                match port.parse() {
                    Ok(number) if port.bytes().all(|b| b.is_ascii_digit()) => {
                        Ok(Self::Tcp(host.to_owned(), number))
                    }
                    _ => wrong(&format!("{port:?} is not a port; {CURE}")),
                }
            }
            _ => wrong(&format!("neither a Unix path nor TCP; {CURE}")),
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(host, _) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                host == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        }
    }

    /// Opens it, and says what it is: port 0 has become the true one. Nobody shares the port: tokio
    /// sets no `SO_REUSEPORT`.
    pub async fn listen(&self) -> Result<(Listener, Self), String> {
        let opened = match self {
            Self::Unix(path) => {
                listen_unix(path).map(|socket| (Listener::Unix(socket), self.clone()))
            }
            Self::Tcp(host, port) => listen_tcp(host, *port)
                .await
                .map(|(socket, port)| (Listener::Tcp(socket), Self::Tcp(host.clone(), port))),
        };
        opened.map_err(|error| format!("address {self}: can't listen there: {error}"))
    }

    /// Takes a socket's file away.
    pub fn remove(&self) {
        if let Self::Unix(path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
        }
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']']),
    }
}

fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("the path is not absolute; {CURE}"));
    }
    if path.len() > MAX_UNIX_PATH {
        return Err(format!(
            "the path has {} bytes, {MAX_UNIX_PATH} are possible; choose a shorter folder",
            path.len()
        ));
    }
    if path.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err(
            "the path holds something else than printable ASCII; choose another folder".to_owned()
        );
    }
    Ok(())
}

fn listen_unix(path: &str) -> io::Result<UnixListener> {
    remove_stale(Path::new(path))?;
    // What is created belongs to this user alone, from its first moment on.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    listener
}

/// Removes a socket that nobody listens at; anything else stays, and is an error.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other("a file that is no socket is there; remove it"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::other("in use by another server; choose another path")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

async fn listen_tcp(host: &str, port: u16) -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(format!("{host}:{port}")).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for text in ["unix:/run/a b.sock", "tcp:127.0.0.1:0", "tcp:[::1]:7000", "tcp:localhost:80"]
        {
            assert_eq!(text, Address::parse(text).unwrap().to_string());
        }
    }

    #[test]
    fn a_wrong_address_is_explained() {
        for (text, problem) in [
            ("unix:x", "address \"unix:x\": the path is not absolute; write unix:"),
            ("unix:/ä", "something else than printable ASCII"),
            ("tcp:127.0.0.1", "no host with a port"),
            ("tcp::1", "no host with a port"),
            ("tcp:::1:80", "no host with a port"),
            ("tcp:localhost:+1", "\"+1\" is not a port"),
            ("tcp:localhost:65536", "\"65536\" is not a port"),
            ("/run/a.sock", "neither a Unix path nor TCP"),
        ] {
            let told = Address::parse(text).unwrap_err();
            assert!(told.contains(problem), "{told}");
        }
        let long = format!("unix:/{}", "x".repeat(100));
        assert!(Address::parse(&long).unwrap_err().contains("101 bytes, 100 are possible"));
        assert!(Address::parse(&long[..long.len() - 1]).is_ok());
    }

    #[test]
    fn only_loopback_and_paths_are_local() {
        let is_local = |text| Address::parse(text).unwrap().is_local();
        assert!(is_local("unix:/x") && is_local("tcp:127.0.0.1:1") && is_local("tcp:[::1]:1"));
        assert!(!is_local("tcp:0.0.0.0:1") && !is_local("tcp:example.com:1"));
    }

    #[tokio::test]
    async fn a_port_that_somebody_holds_is_refused() {
        let address = Address::parse("tcp:127.0.0.1:0").unwrap();
        let (_held, true_one) = address.listen().await.unwrap();
        let told = true_one.listen().await.err().unwrap();
        assert!(told.starts_with(&format!("address {true_one}: can't listen there: ")), "{told}");
    }
}
