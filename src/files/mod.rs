//! Files: read from their hosts, written to disk, inline in `data:` URIs.

pub mod checksum;
pub mod data_uri;
pub mod disk;
pub mod download;
