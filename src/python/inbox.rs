//! The parts of a stream as Python objects.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::event::PyServerSentEvent;
use super::failure::Failure;
use super::port::Arrival;
use super::slot::Slot;
use super::work::ready;
use crate::error::Error;
use crate::stream::batch::{Batch, Form, Parts};
use crate::stream::inbox::{self, Subscribed, WaitFor, Waiter, busy};
use crate::sync::inbox::Taken;
use crate::sync::slot::Status;

pub(crate) type Inbox = inbox::Inbox<SlotWaiter>;

/// The slot of a task that waits for parts.
pub(crate) struct SlotWaiter {
    slot: Arc<Slot>,
    arrival: Arrival,
}

impl Waiter for SlotWaiter {
    fn is_gone(&self) -> bool {
        self.slot.status() != Status::Working
    }

    fn notify(self) {
        if self.slot.finish(ready()).is_ok_and(|is_awaited| is_awaited) {
            self.arrival.deliver(self.slot);
        }
    }
}

/// Have a slot finished when there are parts; return false if there are some now.
pub(crate) fn subscribe(
    inbox: &Inbox,
    what: WaitFor,
    slot: &Arc<Slot>,
    arrival: Arrival,
) -> Result<bool, Error> {
    match inbox.subscribe(what, || SlotWaiter {
        slot: slot.clone(),
        arrival,
    }) {
        Subscribed::Ready => Ok(false),
        Subscribed::Waits => Ok(true),
        Subscribed::Refused => Err(busy()),
    }
}

/// Return all parts as a list, which is empty at the end. If the consumer wants the whole and the
/// end has not arrived, nothing is taken.
pub(crate) fn take_list<'py>(
    py: Python<'py>,
    inbox: &Inbox,
    what: WaitFor,
) -> Result<Bound<'py, PyList>, Failure> {
    match inbox.take(what, |batch| batch.take(inbox.form))? {
        Taken::All(batch) => Ok(to_list(py, batch, what == WaitFor::FullBuffer)?),
        Taken::Incomplete => Ok(PyList::empty(py)),
        Taken::Nothing => Err(busy().into()),
    }
}

/// Return parts as Python objects; if `join` is true, those of a file as one.
fn to_list(py: Python<'_>, batch: Batch, join: bool) -> PyResult<Bound<'_, PyList>> {
    match batch.parts {
        Parts::Events(texts, fields) => {
            let events = texts.iter().zip(fields);
            let events = events.map(|(data, fields)| PyServerSentEvent::create(py, data, fields));
            PyList::new(py, events.collect::<PyResult<Vec<_>>>()?)
        }
        Parts::Text(texts) => {
            let texts = texts.iter().map(|text| PyString::new(py, text));
            PyList::new(py, texts.collect::<Vec<_>>())
        }
        Parts::Frames(frames) if frames.is_empty() => Ok(PyList::empty(py)),
        Parts::Frames(frames) => PyList::new(py, [PyBytes::new(py, &frames)]),
        Parts::Bytes(file) if file.parts().is_empty() => Ok(PyList::empty(py)),
        Parts::Bytes(file) if join => PyList::new(py, [joined(py, &file.parts())?]),
        Parts::Bytes(file) => {
            let pieces = file.pieces();
            let pieces = pieces.iter().map(|parts| joined(py, parts));
            PyList::new(py, pieces.collect::<PyResult<Vec<_>>>()?)
        }
    }
}

fn joined<'py>(py: Python<'py>, parts: &[&[u8]]) -> PyResult<Bound<'py, PyBytes>> {
    if let [whole] = parts {
        return Ok(PyBytes::new(py, whole));
    }
    // It writes to memory that is not filled with zeros first.
    let size = parts.iter().map(|part| part.len()).sum();
    PyBytes::new_with_writer(py, size, |writer| {
        parts.iter().try_for_each(|part| writer.write_bytes(part))
    })
}

impl<'py> FromPyObject<'_, 'py> for Form {
    type Error = PyErr;

    fn extract(name: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match name.cast::<PyString>()?.to_str()? {
            "events" => Ok(Form::Events),
            "text" => Ok(Form::Text),
            "frames" => Ok(Form::Frames),
            "bytes" => Ok(Form::Bytes),
            other => Err(PyValueError::new_err(format!(
                "a stream has no form {other:?}"
            ))),
        }
    }
}
