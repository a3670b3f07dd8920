//! Fuzzes base URLs, routes, and path segments.

#![no_main]
#![allow(
    dead_code,
    reason = "a target uses a part of the files that it includes"
)]

use address::BaseUrl;
use libfuzzer_sys::fuzz_target;
use redact::{quote, without_credentials, without_query};
use url::Url;

#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/redact.rs"]
mod redact;
#[path = "../../src/response.rs"]
mod response;
// Only these files are included, so that the crate's dependencies need not be built.
#[path = "../../src/address.rs"]
mod address;

fuzz_target!(|given: (&str, &str, &str)| {
    let (text, route, name) = given;
    if let Ok(url) = Url::parse(text) {
        for shown in [without_credentials(&url), without_query(&url)] {
            let shown = Url::parse(&shown).expect("what is shown is a URL");
            assert!(shown.username().is_empty() && shown.password().is_none());
        }
    }
    if let Err(error) = BaseUrl::parse(text) {
        // An error must not show text that may contain a password.
        assert!(!text.contains('@') || !error.message.contains(text));
    }
    assert!(!text.contains('@') || !quote(text).contains(text));
    for base in [
        "https://api.replicate.com",
        "http://gate.local/replicate/v2",
    ] {
        let base = BaseUrl::parse(base).expect("it is well-formed");
        let home = base.as_str();
        if let Ok(url) = base.resolve(route) {
            let is_absolute = route.to_ascii_lowercase().starts_with("http://")
                || route.to_ascii_lowercase().starts_with("https://");
            assert!(
                is_absolute
                    || url
                        .as_str()
                        .strip_prefix(home)
                        .is_some_and(|rest| rest.starts_with('/')),
                "{url}"
            );
        }
        match base.join(["predictions", name, "cancel"]) {
            Err(_) => assert!(matches!(name, "" | "." | "..")),
            Ok(url) => {
                assert!(
                    url.as_str().starts_with(home)
                        && url.query().is_none()
                        && url.fragment().is_none()
                );
                let rest = url.as_str().strip_prefix(home).unwrap_or_default();
                let parts: Vec<_> = rest.split('/').collect();
                assert_eq!(parts.len(), 4, "{url}");
                let back = percent_encoding::percent_decode_str(parts[2])
                    .decode_utf8()
                    .expect("it was UTF-8");
                assert_eq!(back, name);
            }
        }
    }
});
