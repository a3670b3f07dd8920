//! An answer that has been read to its end.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A response that has been read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Where it came from, after redirects.
    pub url: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The decompressed body.
    pub body: Bytes,
}

/// Headers that say which request an answer belongs to.
const REQUEST_IDS: [&str; 2] = ["x-request-id", "cf-ray"];

/// What the server calls a request, by the headers of its answer.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = REQUEST_IDS.into_iter().find_map(|name| headers.get(name))?;
    value.to_str().ok().map(ToOwned::to_owned)
}

impl Response {
    /// A response made by hand, for tests and for callers that answer themselves.
    pub fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            url: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    /// Lets go of the connection's read buffer, which body and headers are slices of: the next answer is then read into memory
    /// that is still warm. Only the request's id is kept of the headers.
    pub fn compact(&mut self) {
        self.body = Bytes::copy_from_slice(&self.body);
        let ids = REQUEST_IDS.into_iter().filter_map(|name| {
            let value = HeaderValue::from_bytes(self.headers.get(name)?.as_bytes()).ok()?;
            Some((HeaderName::from_static(name), value))
        });
        self.headers = ids.collect();
    }
}
