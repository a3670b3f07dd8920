//! The Rust core of replicate-rs: HTTP, server-sent events, files and webhooks.
//!
//! Dependencies point one way: `clock, response ← error ← sse, webhook, retry, url, data_uri, disk, proxy, tls ← resume, reach, pace,
//! checksum, upload, stats ← stage ← pool ← http ← download, polls ← py`. Only `py` knows Python.

pub mod clock;
pub mod address;
pub mod predictions;
pub mod stream;
pub mod files;
pub mod error;
pub mod http;
pub mod response;
pub mod retry;
pub mod sync;
pub mod webhook;

#[cfg(feature = "python")]
mod python;

#[cfg(feature = "python")]
#[pyo3::pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::python::abort::{AbortController, AbortSignal};
    #[pymodule_export]
    use crate::python::pending::Pending;
    #[pymodule_export]
    use crate::python::client::Core;
    #[pymodule_export]
    use crate::python::event::{EventDecoder, ServerSentEvent};
    #[pymodule_export]
    use crate::python::files::{Part, Upload, read_data_uri, write_file};
    #[pymodule_export]
    use crate::python::hub::HubPort;
    #[pymodule_export]
    use crate::python::json::{is_plain, write_json};
    #[pymodule_export]
    use crate::python::response::{Expect, Response, retry_after};
    #[pymodule_export]
    use crate::python::process::finish_detached;
    #[pymodule_export]
    use crate::python::source::{Place, Source};
    #[pymodule_export]
    use crate::python::webhook::{Verifier, sign_webhook};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::python::process::process();
        let forked = pyo3::wrap_pyfunction!(crate::python::process::after_fork_in_child, py)?;
        if let Ok(register) = py.import("os")?.getattr("register_at_fork") {
            register.call((), Some(&[("after_in_child", forked)].into_py_dict(py)?))?;
        }
        Ok(())
    }

    use pyo3::types::IntoPyDict;
}
