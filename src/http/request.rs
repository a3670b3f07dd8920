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
pub(crate) struct Timeouts {
    /// For the head of the response after the last byte sent, and between two parts of its body.
    pub(crate) read: Option<Duration>,
    /// For the connection to take a block of the body.
    pub(crate) write: Option<Duration>,
    /// For one of the client's connections to become free.
    pub(crate) pool: Option<Duration>,
    /// For the whole call, retries included.
    pub(crate) total: Option<Duration>,
    /// The same where the caller's wait is limited elsewhere: nothing ends at it, but a 429 is only
    /// waited for until then.
    pub(crate) caller: Option<Duration>,
}

/// The API's origin, and the headers that no other origin receives.
#[derive(Clone, Debug)]
pub(crate) struct ApiOrigin {
    pub(crate) origin: Origin,
    /// The token, the client's default headers, and the user agent.
    pub(crate) headers: HeaderMap,
    /// Sent to other origins too.
    pub(crate) user_agent: HeaderValue,
}

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Body {
    #[default]
    Empty,
    Bytes(Bytes),
    Upload(Arc<Upload>),
}

impl Body {
    /// Return the length in bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len().try_into().unwrap_or(u64::MAX),
            Body::Upload(upload) => upload.length(),
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Headers for every origin.
    pub(crate) headers: HeaderMap,
    /// The caller's headers, for the origin of `url`.
    pub(crate) own_headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) api: Arc<ApiOrigin>,
    pub(crate) timeouts: Timeouts,
    /// The maximum number of attempts after the first, without those that a 429 asked for.
    pub(crate) retries: u32,
    /// The largest decompressed response body, in bytes.
    pub(crate) max_bytes: usize,
    /// Whether the response body is returned as it was sent, without decompression.
    pub(crate) is_raw: bool,
    pub(crate) fetch_policy: FetchPolicy,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Cancelled when the caller has left, after which nothing is retried.
    pub(crate) abandoned: Option<CancellationToken>,
    /// Whether it is repeated after a 429 in turns with others of the client.
    pub(crate) takes_turns: bool,
}

impl Request {
    /// Return the headers for a URL, which may be the target of a redirect.
    pub(crate) fn headers_for(&self, url: &Url) -> HeaderMap {
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
    // A `HeaderMap` yields all values of a name in succession.
    for (name, value) in others {
        if last == Some(name) {
            headers.append(name, value.clone());
        } else {
            headers.insert(name, value.clone());
        }
        last = Some(name);
    }
}
