//! The binding half: the only place that knows Python.

pub mod abort;
pub mod batch;
pub mod pending;
pub mod call;
pub mod check;
pub mod client;
pub mod create;
pub mod engine;
pub mod event;
pub mod errors;
pub mod files;
pub mod greenlets;
pub mod hub;
pub mod inbox;
pub mod json;
pub mod log;
pub mod now;
pub mod port;
pub mod reader;
pub mod response;
pub mod process;
pub mod slot;
pub mod source;
pub mod webhook;
