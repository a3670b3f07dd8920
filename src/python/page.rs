//! Pages, whose records are decoded when they are read.
//!
//! Programs that go through pages look at a few fields of each record, while logs, inputs and
//! schemas make up most of the bytes. A page is checked as a whole when it arrives, and each record
//! keeps a copy of its own part.

use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;
use jiter::{Jiter, Peek};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use pyo3::{PyTraverseError, PyVisit};

use super::json::decode;

/// The longest text that is decoded each time it is read, in bytes.
const MAX_TEXT: usize = 1024;

/// A field of an object in some JSON.
struct Field {
    /// Where its name is, without quotes, in bytes.
    name: Range<u32>,
    /// Where its value is, in bytes.
    value: Range<u32>,
    /// Long text, a list or an object, once it was read.
    kept: OnceLock<Py<PyAny>>,
}

impl Field {
    fn new(name: Range<u32>, value: Range<u32>) -> Self {
        let kept = OnceLock::new();
        Self { name, value, kept }
    }

    /// Return whether its value is kept: callers may change it, or it would take long each time.
    fn is_kept(&self, json: &[u8]) -> bool {
        let value = self.value(json);
        value.len() > MAX_TEXT || matches!(value, [b'{' | b'[', ..])
    }

    /// Return its value.
    fn read<'py>(&self, py: Python<'py>, json: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        if let Some(kept) = self.kept.get() {
            return Ok(kept.bind(py).clone());
        }
        // It was checked.
        let problem = |problem| PyValueError::new_err(format!("a field {problem}"));
        let value = decode(py, self.value(json)).map_err(problem)?;
        if !self.is_kept(json) {
            return Ok(value);
        }
        // Another thread may have been faster.
        let kept = self.kept.get_or_init(|| value.unbind());
        Ok(kept.bind(py).clone())
    }

    fn name<'a>(&self, json: &'a [u8]) -> &'a [u8] {
        slice(json, &self.name)
    }

    fn value<'a>(&self, json: &'a [u8]) -> &'a [u8] {
        slice(json, &self.value)
    }
}

fn slice<'a>(json: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    let range = usize::try_from(range.start)
        .ok()
        .zip(usize::try_from(range.end).ok());
    range
        .and_then(|(start, end)| json.get(start..end))
        .unwrap_or_default()
}

/// The field of a page that has its records.
const RESULTS: &str = "results";

/// A page that was checked: an object with a list of objects as its `results`.
pub(crate) struct Page {
    body: Bytes,
    records: Vec<PyJsonObject>,
    /// The fields beside the results.
    others: Vec<Field>,
}

impl Page {
    /// Check a page, and find its records. None if it is malformed, or if a name in it is written
    /// with escapes: such a page is decoded as a whole.
    pub(crate) fn find(body: Bytes) -> Option<Self> {
        simdutf8::basic::from_utf8(&body).ok()?;
        let mut json = Json::new(&body);
        let (mut records, mut others) = (None, Vec::new());
        let mut name = json.first_name()?;
        while let Some(at) = name {
            if slice(&body, &at) == RESULTS.as_bytes() {
                // Of two fields with one name, the last one counts.
                if records.replace(json.objects()?).is_some() {
                    return None;
                }
            } else {
                let value = json.skip()?;
                others.push(Field::new(at, value));
            }
            name = json.next_name()?;
        }
        json.jiter.finish().ok()?;
        let records = records?;
        Some(Self {
            body,
            records,
            others,
        })
    }

    /// Return the page as a dict, its results as a list of [`PyJsonObject`].
    pub(crate) fn into_dict(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let page = to_dict(py, &self.body, &self.others)?;
        page.set_item(RESULTS, PyList::new(py, self.records)?)?;
        Ok(page)
    }

    /// Return the page that was decoded as a whole in the same form.
    pub(crate) fn wrap(page: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = page.py();
        let results = page.get_item(RESULTS)?;
        let results: Vec<Bound<'_, PyDict>> = results
            .map(|list| list.extract())
            .transpose()?
            .unwrap_or_default();
        let objects = results
            .into_iter()
            .map(|object| PyJsonObject::of(object.unbind()));
        page.set_item(RESULTS, PyList::new(py, objects.collect::<Vec<_>>())?)
    }
}

/// Walks over JSON.
struct Json<'a> {
    text: &'a [u8],
    jiter: Jiter<'a>,
}

impl<'a> Json<'a> {
    fn new(text: &'a [u8]) -> Self {
        let jiter = Jiter::new(text);
        Self { text, jiter }
    }

    /// Enter an object, and return where the name of its first field is, if it has any.
    fn first_name(&mut self) -> Option<Option<Range<u32>>> {
        let name = self.jiter.next_object_bytes().ok()?;
        place_of(name, self.text)
    }

    /// Return where the name of the object's next field is, or leave the object.
    fn next_name(&mut self) -> Option<Option<Range<u32>>> {
        let name = self.jiter.next_key_bytes().ok()?;
        place_of(name, self.text)
    }

    /// Check a value, and return where it is.
    fn skip(&mut self) -> Option<Range<u32>> {
        let kind = self.jiter.peek().ok()?;
        let start = self.position()?;
        self.jiter.known_skip(kind).ok()?;
        Some(start..self.position()?)
    }

    fn objects(&mut self) -> Option<Vec<PyJsonObject>> {
        let mut objects = Vec::new();
        let mut kind = self.jiter.next_array().ok()?;
        while let Some(Peek::Object) = kind {
            objects.push(self.object()?);
            kind = self.jiter.array_step().ok()?;
        }
        kind.is_none().then_some(objects)
    }

    fn object(&mut self) -> Option<PyJsonObject> {
        let start = self.position()?;
        let within = |range: Range<u32>| range.start - start..range.end - start;
        let mut fields = Vec::with_capacity(USUAL_FIELDS);
        let mut name = self.first_name()?;
        while let Some(at) = name {
            fields.push(Field::new(within(at), within(self.skip()?)));
            name = self.next_name()?;
        }
        Some(PyJsonObject {
            json: slice(self.text, &(start..self.position()?)).into(),
            fields,
            object: OnceLock::new(),
        })
    }

    fn position(&self) -> Option<u32> {
        u32::try_from(self.jiter.current_index()).ok()
    }
}

/// The fields that room is made for: a prediction has 15.
const USUAL_FIELDS: usize = 16;

/// Return where a name is in the text that it is a slice of; None if it has an escape.
fn place_of(name: Option<&[u8]>, text: &[u8]) -> Option<Option<Range<u32>>> {
    let Some(name) = name else {
        return Some(None);
    };
    if name.contains(&b'\\') {
        return None;
    }
    let start = name.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let [start, end] = [start, start + name.len()].map(|at| u32::try_from(at).ok());
    Some(Some(start?..end?))
}

/// An object in a page, which was checked, and is decoded when it is read.
#[pyclass(name = "JsonObject", frozen, module = "replicate_rs._core")]
pub(crate) struct PyJsonObject {
    json: Box<[u8]>,
    fields: Vec<Field>,
    object: OnceLock<Py<PyDict>>,
}

impl PyJsonObject {
    /// Create one of an object that was decoded.
    fn of(object: Py<PyDict>) -> Self {
        Self {
            json: Box::default(),
            fields: Vec::new(),
            object: OnceLock::from(object),
        }
    }

    /// Return a field. Of two with one name, the last one counts.
    fn field(&self, name: &[u8]) -> Option<&Field> {
        let mut fields = self.fields.iter().rev();
        fields.find(|field| field.name(&self.json) == name)
    }

    fn decode_all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Ok(Ok(object)) = decode(py, &self.json).map(Bound::cast_into::<PyDict>) else {
            // Each field has the nesting that was checked, and the object has one level more.
            return to_dict(py, &self.json, &self.fields);
        };
        if object.len() != self.fields.len() {
            // Two fields have one name.
            return to_dict(py, &self.json, &self.fields);
        }
        for (field, (name, value)) in self.fields.iter().zip(object.iter()) {
            if field.is_kept(&self.json) {
                let kept = field.kept.get_or_init(|| value.clone().unbind());
                if !value.is(kept) {
                    object.set_item(name, kept)?;
                }
            }
        }
        Ok(object)
    }
}

#[pymethods]
impl PyJsonObject {
    /// Return a field, or None. Return NotImplemented once the whole object was decoded, whose fields
    /// may have changed.
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.object.get().is_some() {
            return Ok(py.NotImplemented().into_bound(py));
        }
        let Some(field) = self.field(name.to_str()?.as_bytes()) else {
            return Ok(py.None().into_bound(py));
        };
        field.read(py, &self.json)
    }

    /// Return the object as a dict, each time the same one.
    fn decode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(object) = self.object.get() {
            return Ok(object.bind(py).clone());
        }
        let object = self.decode_all(py)?;
        // Another thread may have been faster.
        let object = self.object.get_or_init(|| object.unbind());
        Ok(object.bind(py).clone())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for value in self.fields.iter().filter_map(|field| field.kept.get()) {
            visit.call(value)?;
        }
        self.object
            .get()
            .map_or(Ok(()), |object| visit.call(object))
    }
}

fn to_dict<'py>(py: Python<'py>, json: &[u8], fields: &[Field]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for field in fields {
        let name = String::from_utf8_lossy(field.name(json));
        dict.set_item(name, field.read(py, json)?)?;
    }
    Ok(dict)
}
