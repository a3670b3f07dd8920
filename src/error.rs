//! Errors of the core, without Python.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::response::Response;

/// The part of a call during which a timeout occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for one of the client's `max_connections`.
    Pool,
    /// Name resolution, opening the socket, and the TLS handshake.
    Connect,
    /// Sending the request body.
    Sending,
    /// Waiting for the head of the response after the request was sent.
    Response,
    /// Waiting for the next part of the response body.
    Body,
    /// Waiting before a retry.
    Pause,
    /// The caller's deadline for the whole call, retries included.
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

/// The kinds of failure. Each becomes one exception class in Python.
#[derive(Debug)]
pub enum Kind {
    /// The caller's arguments cannot be sent.
    Invalid,
    /// No connection could be made, so nothing was sent.
    Connect,
    /// The server's certificate was refused, so nothing was sent.
    Untrusted,
    /// The connection broke during a request.
    Disconnected,
    /// A timeout expired.
    Timeout(Phase, Duration),
    /// The peer violated HTTP or the API's protocol.
    Protocol,
    /// The response body exceeds the limit, in bytes.
    TooLarge(usize),
    /// One event of a stream exceeds the limit.
    EventTooLarge,
    /// The server answered with a status of 400 or more.
    Status(Box<Response>),
    /// The caller cancelled the call.
    Aborted,
    /// A local file could not be read or written.
    File,
    /// Another task or thread is already waiting for the same stream.
    Busy,
    /// The client was closed.
    Closed,
    /// A bug in this library.
    Internal,
}

impl Kind {
    /// Return the name of the kind, which tells nothing of the call.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Connect => "connect",
            Kind::Untrusted => "certificate",
            Kind::Disconnected => "disconnected",
            Kind::Timeout(..) => "timeout",
            Kind::Protocol => "protocol",
            Kind::TooLarge(_) | Kind::EventTooLarge => "too_large",
            Kind::Status(_) => "status",
            Kind::Aborted => "aborted",
            Kind::File => "file",
            Kind::Busy => "busy",
            Kind::Closed => "closed",
            Kind::Internal => "internal",
        }
    }
}

/// The failure of one call.
#[derive(Debug)]
pub struct Error {
    /// What went wrong.
    pub kind: Kind,
    /// One line for people. Never contains the value of a header.
    pub message: String,
    /// The operating system's error number, if it gave one.
    pub errno: Option<i32>,
    /// The local file that could not be read or written.
    pub path: Option<Box<Path>>,
    /// Whether a byte of the request may have been sent.
    pub sent: bool,
    /// Whether a reused connection broke before a response began, as when a server closes it as
    /// idle.
    pub stale: bool,
    /// Whether the server asked for a delay that ends after the caller's deadline.
    pub is_late: bool,
    /// The server's id for the request, if it sent one before the failure.
    pub request_id: Option<Box<str>>,
    /// The failure of the attempt before the one that timed out.
    pub last: Option<Box<str>>,
}

impl Error {
    /// Create an error that occurred before anything was sent.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            errno: None,
            path: None,
            sent: false,
            stale: false,
            is_late: false,
            request_id: None,
            last: None,
        }
    }

    /// Create an error for an invalid argument.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// Create an error for a peer that violates the protocol.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(Kind::Protocol, message)
    }

    /// Create an error for a connection that broke during a request.
    pub fn disconnected(message: impl Into<String>) -> Self {
        Self::new(Kind::Disconnected, message).sent()
    }

    /// Create an error for a task that panicked or was dropped by its runtime.
    pub fn internal() -> Self {
        let message = "an internal error ended the request: please report it";
        Self::new(Kind::Internal, message).sent()
    }

    /// Create an error for a response with a status of 400 or more.
    pub fn status(response: Response) -> Self {
        let message = format!("the server answered {}", response.status);
        Self::new(Kind::Status(Box::new(response)), message).sent()
    }

    /// Create an error for `limit` having passed in one phase of an attempt.
    pub fn timeout(phase: Phase, limit: Duration) -> Self {
        let message = format!("timed out after {}, {phase}", seconds(limit));
        let error = Self::new(Kind::Timeout(phase, limit), message);
        Self {
            sent: !matches!(phase, Phase::Pool | Phase::Connect),
            ..error
        }
    }

    /// Create an error for the deadline of the whole call having passed during `phase`. `last` is
    /// the failure of the attempt before.
    pub fn deadline(limit: Duration, phase: Phase, last: Option<Box<str>>) -> Self {
        let mut message = format!(
            "timed out after {} over all attempts, {phase}",
            seconds(limit)
        );
        if let Some(last) = &last {
            message.push_str("; ");
            message.push_str(last);
        }
        // A call that waits for a retry was not accepted by the attempt before.
        let sent = !matches!(phase, Phase::Pool | Phase::Connect | Phase::Pause);
        Self {
            sent,
            last,
            ..Self::new(Kind::Timeout(Phase::Total, limit), message)
        }
    }

    /// Create an error for a local file; `what` names the file or the operation.
    pub fn file(what: impl fmt::Display, error: &std::io::Error) -> Self {
        // Checks in this library have no error number, but callers compare the number that the
        // system would return.
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

    /// Note that a byte of the request may have been sent.
    pub fn sent(self) -> Self {
        Self { sent: true, ..self }
    }

    /// Add the path of the file.
    pub fn at(self, path: &Path) -> Self {
        Self {
            path: Some(path.into()),
            ..self
        }
    }
}

/// Format a duration to the millisecond: the time left before a deadline has needless digits.
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
