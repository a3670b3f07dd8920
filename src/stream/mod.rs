//! Responses that are read in parts: server-sent events, which can be resumed, and the bytes of
//! files.

pub(crate) mod batch;
pub(crate) mod inbox;
pub(crate) mod reader;
pub mod resume;
pub mod sse;
