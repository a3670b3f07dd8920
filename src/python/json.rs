//! JSON of what most inputs are: dicts, lists, text, numbers. What is anything else is for Python to look at.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

/// The limit that `input.py` has.
const DEEPEST: usize = 500;

/// Whether JSON can carry a value as it is: dicts with text as keys, lists, text, numbers that are finite and not huge, booleans, None;
/// nested at most 500 deep.
#[pyfunction]
pub fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    walk(value, DEEPEST, None).is_some()
}

/// The JSON of a value that is plain, as UTF-8; None of one that is not.
#[pyfunction]
pub fn write_json<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    walk(value, DEEPEST, Some(&mut out))?;
    Some(PyBytes::new(value.py(), &out))
}

/// None where something is not plain.
fn walk(value: &Bound<'_, PyAny>, deepest: usize, mut out: Option<&mut Vec<u8>>) -> Option<()> {
    if let Ok(text) = value.cast_exact::<PyString>() {
        return put(&text.to_str().ok()?, out);
    }
    if let Ok(number) = value.cast_exact::<PyInt>() {
        return put(&number.extract::<i64>().ok()?, out);
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        return put(
            &Some(number.extract::<f64>().ok()?).filter(|number| number.is_finite())?,
            out,
        );
    }
    if value.is_none() {
        return put(&(), out);
    }
    if let Ok(truth) = value.cast_exact::<PyBool>() {
        return put(&truth.is_true(), out);
    }
    let deepest = deepest.checked_sub(1)?;
    let mark =
        |out: &mut Option<&mut Vec<u8>>, byte: u8| out.iter_mut().for_each(|out| out.push(byte));
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        mark(&mut out, b'{');
        for (place, (key, each)) in dict.iter().enumerate() {
            if place > 0 {
                mark(&mut out, b',');
            }
            put(
                &key.cast_exact::<PyString>().ok()?.to_str().ok()?,
                out.as_deref_mut(),
            )?;
            mark(&mut out, b':');
            walk(&each, deepest, out.as_deref_mut())?;
        }
        mark(&mut out, b'}');
        return Some(());
    }
    let list = value.cast_exact::<PyList>().ok()?;
    mark(&mut out, b'[');
    for (place, each) in list.iter().enumerate() {
        if place > 0 {
            mark(&mut out, b',');
        }
        walk(&each, deepest, out.as_deref_mut())?;
    }
    mark(&mut out, b']');
    Some(())
}

fn put(value: &impl serde::Serialize, out: Option<&mut Vec<u8>>) -> Option<()> {
    out.map_or(Some(()), |out| serde_json::to_writer(out, value).ok())
}
