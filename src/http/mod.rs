//! HTTP: one request and its response, over connections that are pooled per client.

pub mod body;
pub mod exchange;
pub mod fetch_policy;
pub mod pool;
pub mod proxy;
pub mod stats;
pub mod timing;
pub mod tls;
