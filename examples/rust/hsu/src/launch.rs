//! What a master says in the environment, and what it is told in return.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, FromRawFd, RawFd};

use crate::address::Address;

/// The version of the launch contract that this crate speaks.
pub const CONTRACT_VERSION: u32 = 1;

/// Everything that is taken out of the environment.
const VARIABLES: [&str; 8] = [
    "HSU_INSTANCE",
    "HSU_UNIT",
    "HSU_LISTEN",
    "HSU_ANNOUNCE_FD",
    "HSU_TOKEN",
    "HSU_LIFELINE",
    "HSU_MASTER",
    "HSU_MASTER_TOKEN",
];

#[derive(Debug)]
pub struct Launch {
    pub instance: String,
    pub unit: String,
    pub listen: Address,
    pub token: String,
    pub has_lifeline: bool,
    /// Where the announce line goes; stdout without it.
    announce: Option<File>,
}

impl Launch {
    /// Reads the variables of a launch and deletes them, so that no child of this process inherits
    /// them. Without a launch there is nothing, and the variables stay.
    ///
    /// It has to be called before the process has threads.
    pub fn take() -> Result<Option<Self>, String> {
        if env::var_os("HSU_INSTANCE").is_none() {
            return Ok(None);
        }
        let taken = VARIABLES.map(|name| {
            let value = env::var_os(name).map(|value| value.to_string_lossy().into_owned());
            // SAFETY: there are no other threads yet that could read the environment.
            unsafe { env::remove_var(name) };
            value.unwrap_or_default()
        });
        Self::read(taken).map(Some)
    }

    fn read(values: [String; 8]) -> Result<Self, String> {
        let [instance, unit, listen, announce, token, lifeline, master, master_token] = values;
        let mut problems = Vec::new();
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if instance.len() != 32 || !instance.bytes().all(is_hex) {
            problems.push(format!("HSU_INSTANCE={instance:?}: not 32 hex digits in lower case"));
        }
        let listen = if listen.is_empty() {
            Err("HSU_LISTEN is not set: write unix:<path> or tcp:127.0.0.1:0".to_owned())
        } else {
            Address::parse(&listen).map_err(|problem| format!("HSU_LISTEN: {problem}"))
        };
        if token.is_empty() {
            // Without one the worker would answer everybody.
            problems.push("HSU_TOKEN is not set: write what callers have to present".to_owned());
        }
        // Never with their values: the texts of errors end in logs.
        for (name, value) in [("HSU_TOKEN", &token), ("HSU_MASTER_TOKEN", &master_token)] {
            if !is_token(value) {
                problems.push(format!(
                    "{name}: holds something else than printable ASCII without spaces"
                ));
            }
        }
        let has_lifeline = match lifeline.as_str() {
            "" | "stdin" => true,
            "none" => false,
            other => {
                problems.push(format!("HSU_LIFELINE={other:?}: neither \"stdin\" nor \"none\""));
                false
            }
        };
        if !master.is_empty()
            && let Err(problem) = Address::parse(&master)
        {
            problems.push(format!("HSU_MASTER: {problem}"));
        }
        let announce = match announce.as_str() {
            "" => None,
            text => match open_announce(text) {
                Ok(file) => Some(file),
                Err(problem) => {
                    problems.push(format!("HSU_ANNOUNCE_FD={text:?}: {problem}"));
                    None
                }
            },
        };
        match listen {
            Ok(listen) if problems.is_empty() => {
                Ok(Self { instance, unit, listen, token, has_lifeline, announce })
            }
            listen => {
                problems.extend(listen.err());
                Err(problems.join("\n"))
            }
        }
    }

    /// Says that the worker answers, and where.
    pub fn announce(&mut self, address: &Address) -> io::Result<()> {
        let line = announce_line(&self.instance, address);
        match self.announce.take() {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(line.as_bytes())?;
                stdout.flush()
            }
        }
    }
}

fn announce_line(instance: &str, address: &Address) -> String {
    format!("HSU {CONTRACT_VERSION} {instance} {address}\n")
}

/// Whether a text can be presented as a token; one that is empty is none.
pub fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn open_announce(text: &str) -> Result<File, &'static str> {
    let number: RawFd = match text.parse() {
        Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => return Err("not a descriptor's number"),
    };
    // SAFETY: it is only asked whether it is open; the borrow ends with this function.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    // No child of this process may hold it: whoever reads it waits for its end.
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)
        .map_err(|_| "no such descriptor is open")?;
    // SAFETY: it is open, and the master gave it to be written and closed here, by nobody else.
    Ok(unsafe { File::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "6f1ed002ab5595859014ebf0951522d9";

    fn values(listen: &str) -> [String; 8] {
        [INSTANCE, "u", listen, "", "secret", "", "", ""].map(str::to_owned)
    }

    #[test]
    fn the_announce_line_is_the_contracts() {
        for address in ["unix:/run/a b.sock", "tcp:127.0.0.1:40312", "tcp:[::1]:40312"] {
            let expected = format!("HSU 1 {INSTANCE} {address}\n");
            assert_eq!(expected, announce_line(INSTANCE, &Address::parse(address).unwrap()));
        }
    }

    #[test]
    fn a_launch_is_read() {
        let launch = Launch::read(values("unix:/run/a b.sock")).unwrap();
        assert_eq!((INSTANCE, "u"), (launch.instance.as_str(), launch.unit.as_str()));
        assert!(launch.has_lifeline && launch.announce.is_none());
    }

    #[test]
    fn all_problems_are_told_at_once_and_no_token() {
        let wrong = ["X", "u", "nowhere", "x", "se cret", "stdout", "here", "to ken"];
        let told = Launch::read(wrong.map(str::to_owned)).unwrap_err();
        for name in &VARIABLES {
            assert_eq!(*name != "HSU_UNIT", told.contains(name), "{name} in {told}");
        }
        assert!(!told.contains("cret") && !told.contains("to ken"));
    }

    #[test]
    fn without_a_token_nothing_is_served() {
        let mut given = values("tcp:127.0.0.1:0");
        given[4].clear();
        assert!(Launch::read(given).unwrap_err().starts_with("HSU_TOKEN is not set"));
    }
}
