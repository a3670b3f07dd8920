//! Response bodies that are compressed, in the two codings that are asked for.

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder};
use futures_util::TryStreamExt;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use reqwest::{Body, Response, ResponseBuilderExt};
use tokio::io::AsyncBufRead;
use tokio_util::io::{ReaderStream, StreamReader};

/// `Accept-Encoding`: what `decoded` reads.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, deflate");

/// Return a response whose body is decompressed while it is read (RFC 9110 §8.4). One in another
/// coding is returned as it is.
pub(crate) fn decoded(mut response: Response) -> Response {
    let Some(coding) = response.headers().get(CONTENT_ENCODING) else {
        return response;
    };
    let decode = match coding.as_bytes().to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => gunzip,
        b"deflate" => inflate,
        _ => return response,
    };
    if response.content_length() == Some(0) {
        // Some servers name a coding of nothing, too.
        response.headers_mut().remove(CONTENT_ENCODING);
        return response;
    }
    let url = response.url().clone();
    let (mut parts, ()) = http::Response::builder()
        .url(url)
        .body(())
        .unwrap_or_default()
        .into_parts();
    parts.status = response.status();
    parts.version = response.version();
    parts.headers.clone_from(response.headers());
    parts.headers.remove(CONTENT_ENCODING);
    // It was the length of the compressed body.
    parts.headers.remove(CONTENT_LENGTH);
    let body = response.bytes_stream().map_err(std::io::Error::other);
    http::Response::from_parts(parts, decode(StreamReader::new(body))).into()
}

fn gunzip(body: impl AsyncBufRead + Send + 'static) -> Body {
    let mut decoder = GzipDecoder::new(body);
    // A file in this format may consist of several, one after the other (RFC 1952 §2.2).
    decoder.multiple_members(true);
    Body::wrap_stream(ReaderStream::new(decoder))
}

fn inflate(body: impl AsyncBufRead + Send + 'static) -> Body {
    Body::wrap_stream(ReaderStream::new(ZlibDecoder::new(body)))
}

#[cfg(test)]
mod tests {
    use super::super::connect::ConnectOptions;
    use super::super::exchange::send;
    use super::super::request::Request;
    use super::super::test_server::{get, pool, run, serve};
    use crate::error::Error;
    use proptest::prelude::*;

    const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    const ZLIB: &[u8] = b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15";

    async fn body_of(coding: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
        );
        let (url, _requests) = serve(vec![[head.as_bytes(), body].concat()]).await;
        let request = Request {
            retries: 0,
            ..get(url)
        };
        let response = send(&pool(ConnectOptions::default()), &request).await?;
        assert_eq!(response.url, request.url.as_str());
        Ok(response.body.into())
    }

    #[test]
    fn bodies_are_decompressed() {
        run(async {
            for (coding, body, expected) in [
                ("gzip", GZIP.to_vec(), "hello"),
                ("X-GZip", [GZIP, GZIP].concat(), "hellohello"),
                ("deflate", ZLIB.to_vec(), "hello"),
                ("br", b"hello".to_vec(), "hello"),
                ("gzip", Vec::new(), ""),
            ] {
                assert_eq!(
                    body_of(coding, &body).await.unwrap(),
                    expected.as_bytes(),
                    "{coding}"
                );
            }
        });
    }

    #[test]
    fn a_truncated_or_malformed_body_is_an_error() {
        run(async {
            let truncated = GZIP.get(..GZIP.len() - 1).unwrap();
            for body in [truncated, b"hello"] {
                assert!(body_of("gzip", body).await.is_err(), "{body:?}");
            }
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_body_has_a_result(body in prop::collection::vec(any::<u8>(), 0..200)) {
            run(async {
                let changed = [GZIP, body.as_slice()].concat();
                for (coding, body) in [("gzip", &body), ("gzip", &changed), ("deflate", &body)] {
                    let _ = body_of(coding, body).await;
                }
            });
        }
    }
}
