//! Fuzzes the parser of `data:` URIs.

#![no_main]
#![allow(
    dead_code,
    reason = "a target uses a part of the files that it includes"
)]

use ::base64::Engine;
use base64::BASE64;
use data_uri::DataUri;
use libfuzzer_sys::fuzz_target;

// Only these files are included, so that the crate's dependencies need not be built.
#[path = "../../src/base64.rs"]
mod base64;
#[path = "../platform.rs"]
mod platform;
#[path = "../../src/files/data_uri.rs"]
mod data_uri;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/response.rs"]
mod response;

fuzz_target!(|given: (&str, &[u8])| {
    let (text, content) = given;
    for uri in [
        text.to_owned(),
        format!("data:{text}"),
        format!("data:a/b;base64,{text}"),
    ] {
        if let Ok(read) = DataUri::parse(&uri) {
            assert!(read.content.len() <= uri.len() && !read.media_type.is_empty());
        }
    }
    let uri = format!("data:a/b;base64,{}", BASE64.encode(content));
    assert_eq!(
        DataUri::parse(&uri)
            .map(|read| read.content)
            .ok()
            .as_deref(),
        Some(content)
    );
});
