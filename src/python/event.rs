//! Server-sent events as Python objects, and a parser for bytes from other sources.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use compact_str::CompactString;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt, PyOnceLock};
use pyo3::types::{PyBytes, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::imports::checked;
use crate::error::Error;
use crate::stream::batch::EventFields;
use crate::stream::sse::{Event, Parser};

/// One event of a stream; ``str()`` gives the text of an output, and nothing for other events.
///
/// The other attributes become Python objects when they are read, which is rare.
#[pyclass(name = "ServerSentEvent", frozen, module = "replicate_rs.stream")]
pub(crate) struct PyServerSentEvent {
    fields: EventFields,
    /// Text; a `FileOutput` if it is an output of a file stream.
    #[pyo3(get)]
    data: Py<PyAny>,
}

impl PyServerSentEvent {
    pub(crate) fn create(py: Python<'_>, data: &str, fields: EventFields) -> PyResult<Py<Self>> {
        Py::new(
            py,
            Self {
                fields,
                data: PyString::new(py, data).into_any().unbind(),
            },
        )
    }

    /// Return the arguments of the constructor.
    fn args(&self) -> (&str, &Py<PyAny>, Option<&str>, Option<u64>) {
        (
            &self.fields.name,
            &self.data,
            self.fields.id.as_deref(),
            self.fields.retry,
        )
    }
}

/// The maximum number of characters of an event's data in its `repr`.
const MAX_SHOWN: usize = 200;

fn truncate(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => {
            let shown = text.get(..end).unwrap_or_default();
            format!("{shown}… ({} characters)", text.chars().count())
        }
        None => text,
    }
}

/// Return the member of `EventType` for a name. The member for outputs is cached.
fn event_type<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static OUTPUT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let create = || {
        CLASS
            .import(py, "replicate_rs.stream", "EventType")?
            .call1((name,))
    };
    if name == "output" {
        let output = OUTPUT.get_or_try_init(py, || create().map(Bound::unbind))?;
        return Ok(output.bind(py).clone());
    }
    create()
}

#[pymethods]
impl PyServerSentEvent {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str, &'static str) {
        ("event", "data", "id", "retry")
    }

    #[new]
    #[pyo3(signature = (event, data, id=None, retry=None))]
    fn new(
        event: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        id: Option<&Bound<'_, PyAny>>,
        retry: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let text = |name: &str, value: &Bound<'_, PyAny>| -> PyResult<CompactString> {
            Ok(checked("text", name, value)?
                .cast::<PyString>()?
                .to_str()?
                .into())
        };
        let name = text("event", event)?;
        let data = checked("event_data", "data", data)?.unbind();
        let id = id.map(|id| text("id", id)).transpose()?;
        let retry = retry
            .map(|retry| checked("integer", "retry", retry)?.extract())
            .transpose()?;
        Ok(Self {
            fields: EventFields { name, id, retry },
            data,
        })
    }

    /// So that annotations can have a mode, as in ``ServerSentEvent[Async]``.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        _mode: &Bound<'py, PyAny>,
    ) -> Bound<'py, PyType> {
        cls.clone()
    }

    /// ``output``, ``logs``, ``error``, ``done``, or another type of the API.
    #[getter]
    fn event<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        event_type(py, &self.fields.name)
    }

    /// The last id of the stream.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.fields.id.as_deref()
    }

    /// The `retry` field of the event: milliseconds to wait before reconnecting.
    #[getter]
    fn retry(&self) -> Option<u64> {
        self.fields.retry
    }

    /// Return the event as bytes of a stream.
    fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let data = self.data.bind(py).str()?;
        let EventFields { name, id, retry } = &self.fields;
        let mut texts = [Some(name), id.as_ref()].into_iter().flatten();
        if texts.any(|text| text.contains(['\n', '\r', '\0'])) {
            let message = "an event's type and id cannot hold line breaks or NUL";
            return Err(PyValueError::new_err(message));
        }
        let mut bytes = Vec::new();
        let event = Event {
            name,
            data: data.to_str()?.into(),
            id: id.as_deref(),
            has_own_id: id.is_some(),
            retry: *retry,
        };
        event.write(&mut bytes);
        Ok(PyBytes::new(py, &bytes))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.data)
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        if self.fields.name == "output" {
            self.data.bind(py).str()
        } else {
            Ok(PyString::new(py, ""))
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let repr = |object: Bound<'_, PyAny>| object.repr().map(|text| text.to_string());
        let (name, data, id, retry) = self.args();
        let name = repr(PyString::new(py, name).into_any())?;
        let data = truncate(repr(data.bind(py).clone())?);
        let id = repr(id.into_pyobject(py)?)?;
        let retry = repr(retry.into_pyobject(py)?)?;
        Ok(format!(
            "ServerSentEvent(event={name}, data={data}, id={id}, retry={retry})"
        ))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<bool> {
        let other = other.get();
        Ok(self.fields == other.fields && self.data.bind(py).eq(other.data.bind(py))?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.args().into_pyobject(py)?.hash()
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        Ok((slf.get_type(), slf.get().args().into_pyobject(slf.py())?))
    }
}

/// A parser of event streams (WHATWG HTML, §9.2.6), for bytes from other sources.
#[pyclass(name = "EventDecoder", frozen, module = "replicate_rs.stream")]
pub(crate) struct PyEventDecoder {
    parser: Mutex<Parser>,
    is_closed: AtomicBool,
}

impl PyEventDecoder {
    /// Lock the parser, and release the GIL while another thread has it.
    fn lock_parser(&self, py: Python<'_>) -> MutexGuard<'_, Parser> {
        self.parser
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyEventDecoder {
    #[new]
    #[pyo3(signature = (*, max_bytes=None), text_signature = "(*, max_bytes=67108864)")]
    fn new(max_bytes: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let max = match max_bytes {
            Some(max) => checked("integer", "max_bytes", max)?.extract()?,
            None => 64 << 20,
        };
        Ok(Self {
            parser: Mutex::new(Parser::new(max)),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Parse the next bytes, cut anywhere; return the events that they complete.
    fn feed<'py>(
        &self,
        py: Python<'py>,
        bytes: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let bytes = match bytes.cast::<PyBytes>() {
            Ok(bytes) => bytes.clone(),
            Err(_) => checked("content", "bytes", bytes)?.cast_into()?,
        };
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(PyValueError::new_err("this decoder is closed"));
        }
        let mut events = Vec::new();
        // Objects are created while the parser is locked. That may run other threads, which must not
        // hold the GIL while they wait for the parser.
        let parsed = self.lock_parser(py).feed(bytes.as_bytes(), |event| {
            let (name, id) = (event.name.into(), event.id.map(Into::into));
            let fields = EventFields {
                name,
                id,
                retry: event.retry,
            };
            events.push(PyServerSentEvent::create(py, &event.data, fields));
        });
        if let Err(too_large) = parsed {
            self.close();
            return Err(Error::from(too_large).into());
        }
        PyList::new(py, events.into_iter().collect::<PyResult<Vec<_>>>()?)
    }

    /// The last id of a finished event; None if there was none.
    #[getter]
    fn last_event_id(&self, py: Python<'_>) -> Option<String> {
        self.lock_parser(py).last_event_id().map(ToOwned::to_owned)
    }

    /// The last `retry` field of the stream: milliseconds to wait before reconnecting; None if
    /// there was none.
    #[getter]
    fn retry(&self, py: Python<'_>) -> Option<u64> {
        self.lock_parser(py).reconnection_time()
    }

    /// End the stream: an unfinished event is dropped, and no more bytes are accepted.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}
