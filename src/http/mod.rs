//! HTTP: requests, their attempts and their responses, over the pooled connections of a client.

pub(crate) mod authorities;
pub(crate) mod body;
pub(crate) mod connect;
mod decoding;
pub(crate) mod exchange;
pub(crate) mod fetch_policy;
pub(crate) mod pool;
pub(crate) mod proxy;
pub mod rate_limit;
pub(crate) mod request;
pub(crate) mod stats;
#[cfg(test)]
pub(crate) mod test_server;
pub(crate) mod throttle;
pub(crate) mod timing;
pub(crate) mod tls;
