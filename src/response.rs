//! A response that was read to its end.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A response that was read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The URL that answered, after redirects.
    pub url: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The decompressed body.
    pub body: Bytes,
}

/// Headers in which servers give the id of a request.
const REQUEST_IDS: [&str; 2] = ["x-request-id", "cf-ray"];

/// Return the server's id for a request.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = REQUEST_IDS.into_iter().find_map(|name| headers.get(name))?;
    value.to_str().ok().map(ToOwned::to_owned)
}

impl Response {
    /// Create a response for tests.
    pub fn new(status: u16, body: &str) -> Self {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Self {
            status,
            url: String::new(),
            headers: HeaderMap::new(),
            body,
        }
    }

    /// Copy the body and the request id, and drop the other headers, to release the connection's
    /// read buffer: the next response is then read into memory that is still in the processor's
    /// cache.
    pub fn compact(&mut self) {
        self.body = Bytes::copy_from_slice(&self.body);
        let ids = REQUEST_IDS.into_iter().filter_map(|name| {
            let value = HeaderValue::from_bytes(self.headers.get(name)?.as_bytes()).ok()?;
            Some((HeaderName::from_static(name), value))
        });
        self.headers = ids.collect();
    }
}
