//! The Rust core of replicate-rs: HTTP, server-sent events, files and webhooks.
//!
//! Dependencies point one way: `clock, response ← error ← sse, webhook, retry, url, data_uri, disk, proxy, tls ← resume, reach, pace,
//! checksum, upload, stats ← stage ← pool ← http ← download, polls ← py`. Only `py` knows Python.

pub mod checksum;
pub mod clock;
pub mod create;
pub mod create_lookup;
pub mod data_uri;
pub mod disk;
pub mod download;
pub mod error;
pub mod http;
pub mod pace;
pub mod polls;
pub mod pool;
pub mod proxy;
pub mod reach;
pub mod response;
pub mod resume;
pub mod retry;
pub mod sse;
pub mod stage;
pub mod stats;
pub mod sync;
pub mod tls;
pub mod upload;
pub mod url;
pub mod webhook;

#[cfg(feature = "python")]
mod py;

#[cfg(feature = "python")]
#[pyo3::pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::py::abort::{AbortController, AbortSignal};
    #[pymodule_export]
    use crate::py::bridge::Pending;
    #[pymodule_export]
    use crate::py::client::Core;
    #[pymodule_export]
    use crate::py::event::{EventDecoder, ServerSentEvent};
    #[pymodule_export]
    use crate::py::files::{Part, Upload, read_data_uri, write_file};
    #[pymodule_export]
    use crate::py::hub::HubPort;
    #[pymodule_export]
    use crate::py::json::{is_plain, write_json};
    #[pymodule_export]
    use crate::py::response::{Expect, Response, retry_after};
    #[pymodule_export]
    use crate::py::runtime::finish_detached;
    #[pymodule_export]
    use crate::py::source::{Place, Source};
    #[pymodule_export]
    use crate::py::webhook::{Verifier, sign_webhook};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::py::runtime::process();
        let forked = pyo3::wrap_pyfunction!(crate::py::runtime::after_fork_in_child, py)?;
        if let Ok(register) = py.import("os")?.getattr("register_at_fork") {
            register.call((), Some(&[("after_in_child", forked)].into_py_dict(py)?))?;
        }
        Ok(())
    }

    use pyo3::types::IntoPyDict;
}
