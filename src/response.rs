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

/// Return copies of the headers that give a request's id, which keep no buffer.
pub fn request_ids(headers: &HeaderMap) -> HeaderMap {
    let ids = REQUEST_IDS.into_iter().filter_map(|name| {
        let value = HeaderValue::from_bytes(headers.get(name)?.as_bytes()).ok()?;
        Some((HeaderName::from_static(name), value))
    });
    ids.collect()
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
        self.headers = request_ids(&self.headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_request_is_kept_without_the_buffer_that_it_came_in() {
        let buffer = Bytes::from(b"abc".to_vec());
        let mut headers = HeaderMap::new();
        for name in ["x-request-id", "etag"] {
            let value = HeaderValue::from_maybe_shared(buffer.clone()).unwrap();
            headers.insert(name, value);
        }
        assert!(!buffer.is_unique());
        headers = request_ids(&headers);
        assert!(buffer.is_unique());
        assert_eq!(request_id(&headers).as_deref(), Some("abc"));
        assert_eq!(headers.len(), 1);
    }
}
