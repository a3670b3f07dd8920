//! JSON from and to Python objects.
//!
//! Most inputs consist of dicts, lists, texts and numbers, which are written here. Python handles
//! all others.

use jiter::{PythonParse, StringCacheMode};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use serde::Serialize;

/// The deepest nesting, as in `input.py`.
const MAX_DEPTH: usize = 500;

/// Parse JSON, or describe what is wrong with it.
pub(crate) fn decode<'py>(py: Python<'py>, json: &[u8]) -> Result<Bound<'py, PyAny>, String> {
    let parser = PythonParse {
        cache_mode: StringCacheMode::Keys,
        ..PythonParse::default()
    };
    let value = parser.python_parse(py, json);
    value.map_err(|error| format!("is not JSON: {}", error.description(json)))
}

/// Return whether a value is plain: dicts with text as keys, lists, text, finite numbers of at most
/// 64 bits, booleans and None, nested at most 500 deep.
#[pyfunction]
pub(crate) fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    write_value(value, MAX_DEPTH, false, None).is_some()
}

/// Return the JSON of a plain value as UTF-8; None for other values.
///
/// With `sort_keys`, the keys of all dicts are in the order of their UTF-8, so that equal values
/// have equal bytes.
#[pyfunction]
#[pyo3(signature = (value, *, sort_keys = false))]
pub(crate) fn write_json<'py>(
    value: &Bound<'py, PyAny>,
    sort_keys: bool,
) -> Option<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    write_value(value, MAX_DEPTH, sort_keys, Some(&mut out))?;
    Some(PyBytes::new(value.py(), &out))
}

/// Write a value, or only check it; None if it is not plain.
fn write_value(
    value: &Bound<'_, PyAny>,
    max_depth: usize,
    sort_keys: bool,
    mut out: Option<&mut Vec<u8>>,
) -> Option<()> {
    if let Ok(text) = value.cast_exact::<PyString>() {
        return write(&text.to_str().ok()?, out);
    }
    if let Ok(number) = value.cast_exact::<PyInt>() {
        return write(&number.extract::<i64>().ok()?, out);
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        let number: f64 = number.extract().ok()?;
        return if number.is_finite() {
            write(&number, out)
        } else {
            None
        };
    }
    if value.is_none() {
        return write(&(), out);
    }
    if let Ok(boolean) = value.cast_exact::<PyBool>() {
        return write(&boolean.is_true(), out);
    }
    let max_depth = max_depth.checked_sub(1)?;
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        push(&mut out, b'{');
        if sort_keys {
            let items: Vec<_> = dict.iter().collect();
            let mut sorted = Vec::with_capacity(items.len());
            for (key, item) in &items {
                let key = key.cast_exact::<PyString>().ok()?;
                sorted.push((key.to_str().ok()?, item));
            }
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                write_key(index, key, &mut out)?;
                write_value(item, max_depth, sort_keys, out.as_deref_mut())?;
            }
        } else {
            for (index, (key, item)) in dict.iter().enumerate() {
                let key = key.cast_exact::<PyString>().ok()?;
                write_key(index, key.to_str().ok()?, &mut out)?;
                write_value(&item, max_depth, sort_keys, out.as_deref_mut())?;
            }
        }
        push(&mut out, b'}');
        return Some(());
    }
    let list = value.cast_exact::<PyList>().ok()?;
    push(&mut out, b'[');
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            push(&mut out, b',');
        }
        write_value(&item, max_depth, sort_keys, out.as_deref_mut())?;
    }
    push(&mut out, b']');
    Some(())
}

fn write_key(index: usize, key: &str, out: &mut Option<&mut Vec<u8>>) -> Option<()> {
    if index > 0 {
        push(out, b',');
    }
    write(&key, out.as_deref_mut())?;
    push(out, b':');
    Some(())
}

fn push(out: &mut Option<&mut Vec<u8>>, byte: u8) {
    if let Some(out) = out {
        out.push(byte);
    }
}

fn write(value: &impl Serialize, out: Option<&mut Vec<u8>>) -> Option<()> {
    out.map_or(Some(()), |out| serde_json::to_writer(out, value).ok())
}
