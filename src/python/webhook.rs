//! Webhooks as Python gives them: headers and bodies of many shapes, keys prepared once.

use std::fmt::Display;
use std::time::Duration;

use pyo3::CastIntoError;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};

use super::check::checked;
use super::now;
use super::response::decode;
use crate::webhook::{BadSecret, Key, Refusal, Webhook, Window, verify};

/// Bytes of a body from which on it is hashed without the GIL.
///
/// Giving the GIL up costs 0.05 µs, and from 4 KiB on two threads get twice as much done. But where another thread computes, the one
/// that gave it up has it back after 5 ms (`sys.getswitchinterval`): measured, 200 checks a second of any size, where it did 15,000
/// of 64 KiB without giving it up. Those take 33 µs, which the other thread can wait. Whoever wants throughput has `verify_many`.
const DETACH: usize = 64 << 10;

/// Webhooks of a batch, at most: hashed together without the GIL.
const BATCH: usize = 256;

/// Text or bytes that Python gave, for as long as they are looked at.
enum Given<'py> {
    Text(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
    /// What could be changed meanwhile, and headers that came in pieces.
    Copied(Vec<u8>),
}

impl Given<'_> {
    /// Text as UTF-8. What cannot be written so was never sent, and therefore never signed: None.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => text.to_str().ok().map(str::as_bytes),
            Self::Bytes(bytes) => Some(bytes.as_bytes()),
            Self::Copied(bytes) => Some(bytes),
        }
    }

    /// Of a signature that came twice each is tried; nothing else that came twice, be it empty, is what was signed.
    fn and(&self, other: &Self) -> Self {
        Self::Copied(
            [self.bytes(), other.bytes()]
                .map(Option::unwrap_or_default)
                .join(&b' '),
        )
    }
}

/// What is neither is given back.
fn text_or_bytes(value: Bound<'_, PyAny>) -> Result<Given<'_>, Bound<'_, PyAny>> {
    match value.cast_into::<PyString>() {
        Ok(text) => Ok(Given::Text(text)),
        Err(other) => other
            .into_inner()
            .cast_into()
            .map(Given::Bytes)
            .map_err(CastIntoError::into_inner),
    }
}

fn kind_of(value: &Bound<'_, PyAny>) -> String {
    value
        .get_type()
        .name()
        .map_or_else(|_| "something else".to_owned(), |name| name.to_string())
}

fn content<'py>(body: &Bound<'py, PyAny>) -> PyResult<Given<'py>> {
    let body = match text_or_bytes(body.clone()) {
        Ok(given) => return Ok(given),
        Err(other) => other,
    };
    if let Ok(bytes) = body.cast::<PyByteArray>() {
        return Ok(Given::Copied(bytes.to_vec()));
    }
    if let Ok(buffer) = PyBuffer::<u8>::get(&body) {
        return buffer.to_vec(body.py()).map(Given::Copied);
    }
    let kind = kind_of(&body);
    Err(PyTypeError::new_err(format!(
        "body must be the raw body as it came (bytes or str), not {kind}: what was parsed cannot be verified"
    )))
}

/// The values of the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
type Head<'py> = [Option<Given<'py>>; 3];

/// The headers of a webhook: from a mapping, whatever it makes of upper and lower case, or from pairs.
fn head<'py>(headers: &Bound<'py, PyAny>) -> PyResult<Head<'py>> {
    let py = headers.py();
    if headers.is_none() {
        return Ok([None, None, None]);
    }
    let pairs = if let Ok(dict) = headers.cast_exact::<PyDict>() {
        let found = look_up(py, |name| dict.get_item(name))?;
        if found.iter().all(Option::is_some) {
            return Ok(found);
        }
        dict.items().into_any()
    } else if headers.is_instance_of::<PyList>() {
        headers.clone()
    } else if let Some(raw) = headers
        .getattr_opt(intern!(py, "raw"))?
        .and_then(|raw| raw.cast_into::<PyList>().ok())
    {
        // Starlette's and httpx's, as they came.
        raw.into_any()
    } else if let Some(get) = headers.getattr_opt(intern!(py, "get"))? {
        let found = look_up(py, |name| {
            let value = get.call1((name,))?;
            Ok((!value.is_none()).then_some(value))
        })?;
        if found.iter().all(Option::is_some) {
            return Ok(found);
        }
        headers
            .call_method0(intern!(py, "items"))
            .map_err(|_| unfit())?
    } else {
        headers.clone()
    };
    scan(&pairs)
}

fn look_up<'py, F>(py: Python<'py>, get: F) -> PyResult<Head<'py>>
where
    F: Fn(&Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>>,
{
    let value =
        |name: &Bound<'py, PyString>| get(name)?.map(|value| header(name, value)).transpose();
    Ok([
        value(intern!(py, "webhook-id"))?,
        value(intern!(py, "webhook-timestamp"))?,
        value(intern!(py, "webhook-signature"))?,
    ])
}

fn scan<'py>(pairs: &Bound<'py, PyAny>) -> PyResult<Head<'py>> {
    let mut found: Head<'py> = [None, None, None];
    for each in pairs.try_iter().map_err(|_| unfit())? {
        let (name, value) = pair(each?)?;
        let given = text_or_bytes(name).map_err(|_| unfit())?;
        let Some(name) = given.bytes() else { continue };
        let slot = match name.len() {
            10 if name.eq_ignore_ascii_case(b"webhook-id") => found.get_mut(0),
            17 if name.eq_ignore_ascii_case(b"webhook-timestamp") => found.get_mut(1),
            17 if name.eq_ignore_ascii_case(b"webhook-signature") => found.get_mut(2),
            _ => None,
        };
        if let Some(slot) = slot {
            let value = header(String::from_utf8_lossy(name), value)?;
            *slot = Some(match slot.take() {
                Some(before) => before.and(&value),
                None => value,
            });
        }
    }
    Ok(found)
}

fn unfit() -> PyErr {
    PyTypeError::new_err("headers must be a mapping, or pairs of a name and a value")
}

fn pair(each: Bound<'_, PyAny>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    match each.cast::<PyTuple>() {
        Ok(tuple) if tuple.len() == 2 => Ok((tuple.get_item(0)?, tuple.get_item(1)?)),
        _ => each
            .extract()
            .map(|[name, value]: [Bound<'_, PyAny>; 2]| (name, value))
            .map_err(|_| unfit()),
    }
}

fn header<'py>(name: impl Display, value: Bound<'py, PyAny>) -> PyResult<Given<'py>> {
    let unfit = |other| {
        PyTypeError::new_err(format!(
            "the header {name} must be str or bytes, not {}",
            kind_of(&other)
        ))
    };
    text_or_bytes(value).map_err(unfit)
}

/// One webhook.
struct Request<'py> {
    id: Given<'py>,
    timestamp: Given<'py>,
    signatures: Given<'py>,
    body: Given<'py>,
}

impl<'py> Request<'py> {
    /// A webhook, or what of it is missing.
    fn read(
        headers: &Bound<'py, PyAny>,
        body: &Bound<'py, PyAny>,
    ) -> PyResult<Result<Self, &'static str>> {
        let [id, timestamp, signatures] = head(headers)?;
        let Some(id) = id else {
            return Ok(Err("no_id"));
        };
        let Some(timestamp) = timestamp else {
            return Ok(Err("no_timestamp"));
        };
        let Some(signatures) = signatures else {
            return Ok(Err("no_signature"));
        };
        if body.is_none() {
            return Ok(Err("no_body"));
        }
        Ok(Ok(Self {
            id,
            timestamp,
            signatures,
            body: content(body)?,
        }))
    }

    /// What is to be verified, or why that is settled already.
    fn webhook(&self) -> Result<Webhook<'_>, &'static str> {
        match [&self.id, &self.timestamp, &self.signatures, &self.body].map(Given::bytes) {
            // An empty header is as good as a missing one.
            [Some([]), ..] => Err("no_id"),
            [_, Some([]), ..] => Err("no_timestamp"),
            [_, _, Some([]), _] => Err("no_signature"),
            [Some(id), Some(timestamp), Some(signatures), Some(body)] => Ok(Webhook {
                id,
                timestamp,
                signatures,
                body,
            }),
            _ => Err("signature"),
        }
    }
}

/// The keys of one secret or of several: text, or an object that has it as its `key`.
fn keys(secrets: &Bound<'_, PyAny>) -> PyResult<Vec<Key>> {
    let py = secrets.py();
    if secrets.is_none() {
        return Err(refused(py, "no_secret", ""));
    }
    if let Some(key) = key(secrets)? {
        return Ok(vec![key]);
    }
    let unfit = |what: &Bound<'_, PyAny>| {
        let kind = kind_of(what);
        PyTypeError::new_err(format!(
            "a webhook secret must be str, or what `webhooks.default.secret.get()` gives, not {kind}"
        ))
    };
    if secrets.is_instance_of::<PyBytes>() {
        return Err(unfit(secrets));
    }
    let mut keys = Vec::new();
    for each in secrets.try_iter().map_err(|_| unfit(secrets))? {
        let each = each?;
        keys.push(key(&each)?.ok_or_else(|| unfit(&each))?);
    }
    if keys.is_empty() {
        return Err(refused(py, "no_secret", ""));
    }
    Ok(keys)
}

fn key(secret: &Bound<'_, PyAny>) -> PyResult<Option<Key>> {
    let py = secret.py();
    let text = match secret.cast::<PyString>() {
        Ok(text) => text.clone(),
        Err(_) => match secret
            .getattr_opt(intern!(py, "key"))?
            .map(Bound::cast_into)
        {
            Some(Ok(text)) => text,
            _ => return Ok(None),
        },
    };
    // The error of a text that is not Unicode would show it.
    let key = text
        .to_str()
        .map_err(|_| BadSecret::Encoding)
        .and_then(Key::parse);
    key.map(Some)
        .map_err(|problem| refused(py, "secret", &problem.to_string()))
}

/// The exception for a webhook, or a secret, that was refused; `replicate_rs.webhook` has the classes and their words.
fn refused(py: Python<'_>, reason: &str, detail: &str) -> PyErr {
    match py
        .import("replicate_rs.webhook")
        .and_then(|module| module.getattr("refused")?.call1((reason, detail)))
    {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Seconds between a webhook's timestamp and now that are accepted.
enum Tolerance<'py> {
    Usual,
    /// Checked later, since PyO3 adds to what a conversion of an argument raises.
    Given(Bound<'py, PyAny>),
}

impl<'py> Tolerance<'py> {
    fn given(seconds: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Given(seconds.clone()))
    }

    /// None for any.
    fn seconds(self) -> PyResult<Option<u64>> {
        let seconds = match self {
            Self::Usual => return Ok(Some(300)),
            Self::Given(seconds) if seconds.is_none() => return Ok(None),
            Self::Given(seconds) => seconds,
        };
        if seconds.is_exact_instance_of::<PyInt>()
            && let Ok(seconds) = seconds.extract()
        {
            return Ok(Some(seconds));
        }
        let seconds: f64 = checked("interval", "tolerance", &seconds)?.extract()?;
        Ok(Some(
            Duration::try_from_secs_f64(seconds)
                .unwrap_or(Duration::MAX)
                .as_secs(),
        ))
    }
}

/// Accepts webhooks that one of its keys has signed. The keys are prepared once, and wiped in the end.
#[pyclass(frozen, subclass, module = "replicate_rs._core")]
pub struct Verifier {
    keys: Vec<Key>,
    tolerance: Option<u64>,
    seen: Option<Py<PyAny>>,
    now: Option<Py<PyAny>>,
}

impl Verifier {
    /// Which timestamps are accepted at the moment that a call was given, or the verifier, or that the clock says.
    fn window(&self, py: Python<'_>, now: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Window>> {
        let given = now
            .or_else(|| self.now.as_ref().map(|now| now.bind(py)))
            .map(now::given)
            .transpose()?;
        let Some(tolerance) = self.tolerance else {
            return Ok(None);
        };
        let now = match given {
            Some(now) => now,
            None => now::clock(py)?,
        };
        Ok(Some(Window { now, tolerance }))
    }

    fn judge(&self, webhook: &Webhook<'_>, window: Option<Window>) -> Result<(), &'static str> {
        verify(&self.keys, webhook, window).map_err(|refusal| match refusal {
            // A body that was read before is empty, and no webhook of Replicate's is.
            Refusal::Signature if webhook.body.is_empty() => "empty_body",
            Refusal::Signature => "signature",
            Refusal::Timestamp => "timestamp",
            Refusal::Tolerance => "tolerance",
        })
    }

    /// A webhook that is genuine and recent.
    fn accept<'py>(
        &self,
        headers: &Bound<'py, PyAny>,
        body: &Bound<'py, PyAny>,
        now: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Request<'py>> {
        let py = body.py();
        let window = self.window(py, now)?;
        let request = Request::read(headers, body)?.map_err(|missing| self.refused(py, missing))?;
        let verdict = match request.webhook() {
            Ok(webhook) if webhook.body.len() < DETACH => self.judge(&webhook, window),
            Ok(webhook) => py.detach(|| self.judge(&webhook, window)),
            Err(reason) => Err(reason),
        };
        verdict.map_err(|reason| self.refused(py, reason))?;
        Ok(request)
    }

    /// Whether an accepted webhook came before.
    fn has_seen(&self, py: Python<'_>, id: &Given<'_>) -> PyResult<bool> {
        match (&self.seen, id.bytes()) {
            (Some(seen), Some(id)) => seen
                .bind(py)
                .call1((String::from_utf8_lossy(id),))?
                .is_truthy(),
            _ => Ok(false),
        }
    }

    fn refused(&self, py: Python<'_>, reason: &str) -> PyErr {
        let detail = self
            .tolerance
            .map_or_else(String::new, |seconds| seconds.to_string());
        refused(py, reason, &detail)
    }
}

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(
        signature = (secrets, tolerance=Tolerance::Usual, *, seen=None, now=None),
        text_signature = "(secrets, tolerance=300, *, seen=None, now=None)"
    )]
    fn new(
        secrets: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = Tolerance::given)] tolerance: Tolerance<'_>,
        seen: Option<&Bound<'_, PyAny>>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        now::check(now)?;
        let seen = seen
            .map(|seen| checked("plain_function", "seen", seen).map(Bound::unbind))
            .transpose()?;
        Ok(Self {
            keys: keys(secrets)?,
            tolerance: tolerance.seconds()?,
            seen,
            now: now.cloned().map(Bound::unbind),
        })
    }

    /// Raises unless a webhook is genuine, recent, and, where that is asked, new.
    #[pyo3(signature = (headers, body, *, now=None))]
    fn verify(
        &self,
        headers: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let request = self.accept(headers, body, now)?;
        if self.has_seen(body.py(), &request.id)? {
            Err(self.refused(body.py(), "seen"))
        } else {
            Ok(())
        }
    }

    /// Verifies a webhook, and gives the object that its body is in JSON.
    #[pyo3(signature = (headers, body, *, now=None))]
    fn read<'py>(
        &self,
        headers: &Bound<'py, PyAny>,
        body: &Bound<'py, PyAny>,
        now: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let py = body.py();
        let request = self.accept(headers, body, now)?;
        let object =
            match decode(py, request.body.bytes().unwrap_or_default()).map(Bound::cast_into) {
                Ok(Ok(object)) => object,
                Ok(Err(_)) => return Err(refused(py, "content", "is JSON, but not an object")),
                Err(problem) => return Err(refused(py, "content", &problem)),
            };
        if self.has_seen(py, &request.id)? {
            Err(self.refused(py, "seen"))
        } else {
            Ok(object)
        }
    }

    /// Verifies many, given as pairs of headers and body, while other threads run: None for each, or why not. Whether they are new is
    /// asked when all have been verified.
    #[pyo3(signature = (webhooks, *, now=None))]
    fn verify_many<'py>(
        &self,
        webhooks: &Bound<'py, PyAny>,
        now: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = webhooks.py();
        now::check(now)?;
        let mut verdicts = Vec::new();
        let mut waiting = webhooks
            .try_iter()
            .map_err(|_| PyTypeError::new_err("webhooks must be pairs of headers and body"))?;
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            for webhook in waiting.by_ref().take(BATCH) {
                let (headers, body) = pair(webhook?).map_err(|_| {
                    PyTypeError::new_err("webhooks must be pairs of headers and body")
                })?;
                batch.push(Request::read(&headers, &body)?);
            }
            if batch.is_empty() {
                break;
            }
            let window = self.window(py, now)?;
            let webhooks: Vec<_> = batch
                .iter()
                .map(|each| each.as_ref().map_err(|missing| *missing)?.webhook())
                .collect();
            let judge = |webhook: Result<Webhook<'_>, _>| {
                webhook.and_then(|each| self.judge(&each, window))
            };
            let judged: Vec<_> = py.detach(|| webhooks.into_iter().map(judge).collect());
            // Bodies are let go of.
            let with_id = |(request, verdict): (Result<Request<'py>, _>, Result<(), _>)| {
                verdict.and(request.map(|each| each.id))
            };
            verdicts.extend(batch.into_iter().zip(judged).map(with_id));
        }
        let outcomes = PyList::empty(py);
        for verdict in verdicts {
            let reason = match verdict {
                Ok(id) => self.has_seen(py, &id)?.then_some("seen"),
                Err(reason) => Some(reason),
            };
            outcomes.append(reason.map(|reason| self.refused(py, reason).into_value(py)))?;
        }
        Ok(outcomes)
    }

    // What `seen` or `now` belongs to may keep this verifier.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.seen
            .iter()
            .chain(&self.now)
            .try_for_each(|each| visit.call(each))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let tolerance = slf
            .get()
            .tolerance
            .map_or_else(|| "None".to_owned(), |seconds| seconds.to_string());
        Ok(format!(
            "{}([REDACTED], tolerance={tolerance})",
            slf.get_type().name()?
        ))
    }
}

/// The value of `webhook-signature` for a webhook, with an entry for each secret.
#[pyfunction]
pub fn sign_webhook(
    secrets: &Bound<'_, PyAny>,
    id: &str,
    timestamp: &str,
    body: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let content = content(body)?;
    let bytes = content
        .bytes()
        .ok_or_else(|| PyValueError::new_err("body is text that cannot be written as UTF-8"))?;
    let signed: Vec<_> = keys(secrets)?
        .iter()
        .map(|key| key.sign(id.as_bytes(), timestamp.as_bytes(), bytes))
        .collect();
    Ok(signed.join(" "))
}
