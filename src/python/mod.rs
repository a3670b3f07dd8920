//! The Python binding.

pub(crate) mod abort;
pub(crate) mod client;
mod context;
mod create;
mod engine;
mod errors;
pub(crate) mod event;
mod failure;
pub(crate) mod files;
mod fork;
mod greenlets;
mod headers;
mod imports;
mod inbox;
pub(crate) mod json;
pub(crate) mod log;
mod now;
pub(crate) mod page;
pub(crate) mod pending;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod response;
mod signals;
mod slot;
pub(crate) mod source;
pub(crate) mod webhook;
mod work;
