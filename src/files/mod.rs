//! Files: fetched from their hosts, written to disk, and inline in `data:` URIs.

pub(crate) mod checksum;
pub mod data_uri;
pub(crate) mod disk;
pub(crate) mod download;
