//! Server-sent events: parsing, and resuming a stream whose connection broke.

pub mod resume;
pub mod sse;
