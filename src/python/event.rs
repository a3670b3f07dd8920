//! Events as Python objects, and the parser for those who have the bytes from elsewhere.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use compact_str::CompactString;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::check::checked;
use super::errors::{About, raised};
use crate::error::{Error, Kind};
use crate::stream::sse::{Event, Parser, TooLarge};
use crate::sync::locked;

/// One event of a stream; ``str()`` gives the text of an output, and nothing for other events.
///
/// What is asked for seldom (id, type) becomes a Python object when it is asked for.
#[pyclass(frozen, module = "replicate_rs.stream")]
pub struct ServerSentEvent {
    name: CompactString,
    /// Text; a `FileOutput` if it is an output of a file stream.
    #[pyo3(get)]
    data: Py<PyAny>,
    id: Option<CompactString>,
    retry: Option<u64>,
}

impl ServerSentEvent {
    /// The Python object for an event, whose data lie in `data`.
    pub fn made(
        py: Python<'_>,
        name: CompactString,
        data: &str,
        id: Option<CompactString>,
        retry: Option<u64>,
    ) -> PyResult<Py<Self>> {
        Py::new(
            py,
            Self {
                name,
                data: PyString::new(py, data).into_any().unbind(),
                id,
                retry,
            },
        )
    }

    fn fields(&self) -> (&str, &Py<PyAny>, Option<&str>, Option<u64>) {
        (&self.name, &self.data, self.id.as_deref(), self.retry)
    }
}

/// Characters of an event's data that its `repr` shows.
const MAX_SHOWN: usize = 200;

/// Returns a `repr`, cut where it is long.
fn cut(shown: String) -> String {
    match shown.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!(
            "{}… ({} characters)",
            shown.get(..end).unwrap_or_default(),
            shown.chars().count()
        ),
        None => shown,
    }
}

/// The one member of `EventType` for a name: those that the API has are looked up once.
fn event_type<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static OUTPUT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = || {
        CLASS
            .import(py, "replicate_rs.stream", "EventType")?
            .call1((name,))
    };
    if name == "output" {
        return Ok(OUTPUT
            .get_or_try_init(py, || made().map(Bound::unbind))?
            .bind(py)
            .clone());
    }
    made()
}

#[pymethods]
impl ServerSentEvent {
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
        Ok(Self {
            name: text("event", event)?,
            data: checked("event_data", "data", data)?.unbind(),
            id: id.map(|id| text("id", id)).transpose()?,
            retry: retry
                .map(|retry| checked("integer", "retry", retry)?.extract())
                .transpose()?,
        })
    }

    /// So that annotations may say whose files it has, as in ``ServerSentEvent[Async]``.
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        _mode: &Bound<'py, PyAny>,
    ) -> Bound<'py, PyType> {
        cls.clone()
    }

    /// ``output``, ``logs``, ``error``, ``done``, or what the API invents.
    #[getter]
    fn event<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        event_type(py, &self.name)
    }

    /// The last id that the stream has given.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Milliseconds to wait before reconnecting, if the event said so.
    #[getter]
    fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// The event as it goes over the wire.
    fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let data = self.data.bind(py).str()?;
        let mut bytes = Vec::new();
        let (name, id) = (&*self.name, self.id.as_deref());
        if [Some(name), id]
            .into_iter()
            .flatten()
            .any(|text| text.contains(['\n', '\r', '\0']))
        {
            return Err(PyValueError::new_err(
                "an event's type and id cannot hold line breaks or NUL",
            ));
        }
        Event {
            name,
            data: data.to_str()?.into(),
            id,
            has_own_id: id.is_some(),
            retry: self.retry,
        }
        .write(&mut bytes);
        Ok(PyBytes::new(py, &bytes))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.data)
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        if self.name == "output" {
            self.data.bind(py).str()
        } else {
            Ok(PyString::new(py, ""))
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let shown = |object: Bound<'_, PyAny>| object.repr().map(|text| text.to_string());
        let (name, data, id, retry) = self.fields();
        let (name, id) = (
            shown(PyString::new(py, name).into_any())?,
            shown(id.into_pyobject(py)?)?,
        );
        let (data, retry) = (
            cut(shown(data.bind(py).clone())?),
            retry.map_or("None".to_owned(), |retry| retry.to_string()),
        );
        Ok(format!(
            "ServerSentEvent(event={name}, data={data}, id={id}, retry={retry})"
        ))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<bool> {
        let other = other.get();
        let alike = (&self.name, &self.id, self.retry) == (&other.name, &other.id, other.retry);
        Ok(alike && self.data.bind(py).eq(other.data.bind(py))?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.fields().into_pyobject(py)?.hash()
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        Ok((slf.get_type(), slf.get().fields().into_pyobject(slf.py())?))
    }
}

/// The failure for an event that is too large.
pub fn too_large(TooLarge(limit): TooLarge) -> Error {
    Error {
        sent: true,
        ..Error::new(
            Kind::EventTooLarge,
            format!("an event of the stream is larger than {limit} bytes"),
        )
    }
}

/// The parser of event streams (WHATWG HTML, §9.2.6), for those who have the bytes from elsewhere.
#[pyclass(frozen, module = "replicate_rs.stream")]
pub struct EventDecoder {
    parser: Mutex<Parser>,
    is_closed: AtomicBool,
}

#[pymethods]
impl EventDecoder {
    #[new]
    #[pyo3(signature = (*, max_bytes=None), text_signature = "(*, max_bytes=67108864)")]
    fn new(max_bytes: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let most = max_bytes.map_or(Ok(64 << 20), |most| {
            checked("integer", "max_bytes", most)?.extract()
        })?;
        Ok(Self {
            parser: Mutex::new(Parser::new(most)),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Takes the next bytes, cut wherever they may be; gives the events that they complete.
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
        let mut failed = None;
        let fed = locked(&self.parser).feed(
            bytes.as_bytes(),
            |Event {
                 name,
                 data,
                 id,
                 retry,
                 ..
             }| {
                match ServerSentEvent::made(py, name.into(), &data, id.map(Into::into), retry) {
                    Ok(event) => events.push(event),
                    Err(error) => failed = Some(error),
                }
            },
        );
        if let Err(large) = fed {
            self.close();
            return Err(raised(py, too_large(large), &About::default()));
        }
        match failed {
            Some(error) => Err(error),
            None => PyList::new(py, events),
        }
    }

    /// The last id of an event that has ended; None if there was none.
    #[getter]
    fn last_event_id(&self) -> Option<String> {
        locked(&self.parser).last_event_id().map(ToOwned::to_owned)
    }

    /// Milliseconds to wait before reconnecting, as the stream last said; None if it did not.
    #[getter]
    fn retry(&self) -> Option<u64> {
        locked(&self.parser).reconnection_time()
    }

    /// The stream is at its end: an event that has not ended is dropped, and no more bytes are taken.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}
