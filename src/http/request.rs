//! A request as the core sends it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::body::Upload;
use super::fetch_policy::FetchPolicy;
use super::stats::Observer;
use crate::address::Origin;

/// Timeouts of a request; None is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// For the head of the response after the last byte sent, and between two parts of its body.
    pub read: Option<Duration>,
    /// For the connection to take a block of the body.
    pub write: Option<Duration>,
    /// For one of the client's connections to become free.
    pub pool: Option<Duration>,
    /// For the whole call, retries included.
    pub total: Option<Duration>,
}

/// The API's origin, and the headers that no other origin receives.
#[derive(Clone, Debug)]
pub struct ApiOrigin {
    pub origin: Origin,
    /// The token, the client's default headers, and the user agent.
    pub headers: HeaderMap,
    /// Sent to other origins too.
    pub user_agent: HeaderValue,
}

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub enum Body {
    #[default]
    Empty,
    Bytes(Bytes),
    Upload(Arc<Upload>),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    /// Headers for every origin.
    pub headers: HeaderMap,
    /// The caller's headers, for the origin of `url`.
    pub own_headers: HeaderMap,
    pub body: Body,
    pub api: Arc<ApiOrigin>,
    pub timeouts: Timeouts,
    /// The most attempts after the first.
    pub retries: u32,
    /// The largest decompressed response body, in bytes.
    pub max_bytes: usize,
    /// Whether the response body is returned as it was sent, without decompression.
    pub is_raw: bool,
    pub fetch_policy: FetchPolicy,
    pub observer: Option<Arc<dyn Observer>>,
    /// Cancelled when the caller has left, after which nothing is retried.
    pub abandoned: Option<CancellationToken>,
}

impl Request {
    /// Return the headers for a URL, which may be the target of a redirect.
    pub fn headers_for(&self, url: &Url) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.api.origin.contains(url) {
            headers.clone_from(&self.api.headers);
        } else {
            headers.insert(USER_AGENT, self.api.user_agent.clone());
        }
        replace(&mut headers, &self.headers);
        if !self.own_headers.is_empty() && Origin::of(&self.url).contains(url) {
            replace(&mut headers, &self.own_headers);
        }
        headers
    }
}

/// Replace headers of the same names. A header may have several values.
fn replace(headers: &mut HeaderMap, others: &HeaderMap) {
    let mut last = None;
    // A `HeaderMap` yields the values of one name one after the other.
    for (name, value) in others {
        if last == Some(name) {
            headers.append(name, value.clone());
        } else {
            headers.insert(name, value.clone());
        }
        last = Some(name);
    }
}
