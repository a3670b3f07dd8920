//! What can go wrong between a call and its answer, without Python.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::response::Response;

/// The part of an exchange in which time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for one of the client's `max_connections`.
    Pool,
    /// Resolving the name, opening the socket, or the TLS handshake.
    Connect,
    /// The request's body is on its way.
    Sending,
    /// The request was sent, and the answer's head has not come.
    Response,
    /// Between two parts of the answer's body.
    Body,
    /// Between two attempts.
    Pause,
    /// The caller's deadline over everything, retries included.
    Total,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Pool => "waiting for a free connection",
            Phase::Connect => "connecting",
            Phase::Sending => "sending the request",
            Phase::Response => "waiting for the response",
            Phase::Body => "reading the response body",
            Phase::Pause => "waiting to try again",
            Phase::Total => "over all attempts",
        })
    }
}

/// The kinds of failure; each becomes one class of the Python tree.
#[derive(Debug)]
pub enum Kind {
    /// The caller asked for something that cannot be sent.
    Invalid,
    /// No connection could be made: nothing was sent.
    Connect,
    /// The server could not show that it is who it should be: nothing was sent.
    Untrusted,
    /// The connection broke while a request was under way.
    Disconnected,
    /// Time ran out.
    Timeout(Phase, Duration),
    /// The peer did not speak HTTP as expected.
    Protocol,
    /// The body is larger than the limit, in bytes.
    TooLarge(usize),
    /// One event of a stream is larger than the limit.
    EventTooLarge,
    /// The server answered with a status of 400 or more.
    Status(Box<Response>),
    /// The caller gave up.
    Aborted,
    /// A local file could not be read or written.
    File,
    /// Another task waits for the same part of a stream.
    Busy,
    /// The client was closed.
    Closed,
    /// This library failed.
    Internal,
}

/// One failed call.
#[derive(Debug)]
pub struct Error {
    /// What went wrong.
    pub kind: Kind,
    /// One line for people; never holds a header's value.
    pub message: String,
    /// The operating system's error number, where it gave one.
    pub errno: Option<i32>,
    /// The local file that failed.
    pub path: Option<Box<Path>>,
    /// Whether a byte of the request may have left this machine.
    pub sent: bool,
    /// Whether a connection from an earlier request broke before an answer began: a server may have closed it as idle.
    pub stale: bool,
    /// What the server calls the request, where it said so before the failure.
    pub request_id: Option<Box<str>>,
    /// What ended the attempt before the one in which time ran out.
    pub last: Option<Box<str>>,
}

impl Error {
    /// A failure before anything was sent.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            errno: None,
            path: None,
            sent: false,
            stale: false,
            request_id: None,
            last: None,
        }
    }

    /// The caller's mistake.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// Time ran out in `phase` after `limit`.
    pub fn timeout(phase: Phase, limit: Duration) -> Self {
        let message = format!("timed out after {}, {phase}", seconds(limit));
        Self {
            sent: !matches!(phase, Phase::Pool | Phase::Connect),
            ..Self::new(Kind::Timeout(phase, limit), message)
        }
    }

    /// The deadline over everything passed while `phase` was under way; `last` is what ended the attempt before.
    pub fn late(limit: Duration, phase: Phase, last: Option<Box<str>>) -> Self {
        let mut message = format!(
            "timed out after {} over all attempts, {phase}",
            seconds(limit)
        );
        if let Some(last) = &last {
            message.push_str("; ");
            message.push_str(last);
        }
        // What waits for another attempt was not taken by the one before.
        let sent = !matches!(phase, Phase::Pool | Phase::Connect | Phase::Pause);
        Self {
            sent,
            last,
            ..Self::new(Kind::Timeout(Phase::Total, limit), message)
        }
    }

    /// A local file failed; `what` says what was being done to which path.
    pub fn file(what: impl fmt::Display, error: &std::io::Error) -> Self {
        // What was found out without the system has its number all the same.
        let errno = error.raw_os_error().or(match error.kind() {
            ErrorKind::AlreadyExists => Some(17),
            ErrorKind::IsADirectory => Some(21),
            _ => None,
        });
        Self {
            errno,
            ..Self::new(Kind::File, format!("{what}: {error}"))
        }
    }

    /// The same error, with the path of the file.
    pub fn at(self, path: &Path) -> Self {
        Self {
            path: Some(path.into()),
            ..self
        }
    }
}

/// To the millisecond: what was left of a caller's deadline has more digits than anybody wants to read.
fn seconds(limit: Duration) -> String {
    let limit = if limit < Duration::from_millis(1) {
        limit
    } else {
        Duration::from_millis((limit.as_secs_f64() * 1000.0).round() as u64)
    };
    format!("{} s", limit.as_secs_f64())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
