//! The Rust core of replicate-rs: HTTP, server-sent events, files and webhooks.
//!
//! Only `python` depends on Python, and nothing in `http` depends on predictions. Dependencies form
//! no cycle: `tests/project/test_rust_layers.py` defines the order.
//!
//! Modules are public for benchmarks; the API of this library is the Python package.

#![cfg_attr(
    not(feature = "python"),
    allow(
        dead_code,
        reason = "without the binding nothing uses the core but its tests"
    )
)]

pub mod address;
pub mod base64;
mod clock;
pub mod error;
pub mod files;
pub mod http;
mod lock;
mod off_thread;
mod platform;
pub mod predictions;
mod redact;
pub mod response;
pub mod retry;
mod shared_runtime;
pub mod stream;
mod sync;
pub mod webhook;

#[cfg(feature = "python")]
mod python;

#[cfg(feature = "python")]
#[pyo3::pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    use crate::python::process::{after_fork_in_child, after_fork_in_parent, before_fork};

    #[pymodule_export]
    use crate::python::abort::{PyAbortController, PyAbortSignal};
    #[pymodule_export]
    use crate::python::client::PyCore;
    #[pymodule_export]
    use crate::python::event::{PyEventDecoder, PyServerSentEvent};
    #[pymodule_export]
    use crate::python::files::{PyDownloadCounters, PyPart, PyUpload, read_data_uri, write_file};
    #[pymodule_export]
    use crate::python::json::{is_plain, write_json};
    #[pymodule_export]
    use crate::python::log::set_tracer;
    #[pymodule_export]
    use crate::python::page::PyJsonObject;
    #[pymodule_export]
    use crate::python::pending::PyPending;
    #[pymodule_export]
    use crate::python::port::PyHubPort;
    #[pymodule_export]
    use crate::python::process::finish_detached;
    #[pymodule_export]
    use crate::python::response::{PyExpect, PyResponse, retry_after};
    #[pymodule_export]
    use crate::python::source::{PyResponseStream, PyStreamPosition};
    #[pymodule_export]
    use crate::python::webhook::{PyVerifier, sign_webhook};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::python::process::process();
        if let Ok(register) = py.import("os")?.getattr("register_at_fork") {
            let hooks = PyDict::new(py);
            hooks.set_item("before", wrap_pyfunction!(before_fork, py)?)?;
            hooks.set_item(
                "after_in_parent",
                wrap_pyfunction!(after_fork_in_parent, py)?,
            )?;
            hooks.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, py)?)?;
            register.call((), Some(&hooks))?;
        }
        Ok(())
    }
}
