//! The Rust core of replicate-rs: HTTP, server-sent events, files and webhooks.
//!
//! Dependencies point one way: `error, sse, webhook, retry, url ← tls, http, files ← py`. Only `py` knows Python.

pub mod error;
pub mod files;
pub mod http;
pub mod retry;
pub mod sse;
pub mod tls;
pub mod url;
pub mod webhook;
