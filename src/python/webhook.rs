//! Verifying webhooks whose headers and bodies have the types of many Python frameworks.

use std::fmt::Display;
use std::time::Duration;

use pyo3::CastIntoError;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};

use super::imports::{checked, exception};
use super::json::decode;
use super::now;
use crate::webhook::{BadSecret, Key, Refusal, Webhook, Window, verify};

/// The size of a body from which the GIL is released while it is hashed, in bytes.
///
/// Releasing the GIL costs 0.05 µs, and from 4 KiB on two threads do twice as much work. But while
/// another thread computes, the GIL is acquired again only after 5 ms (`sys.getswitchinterval`).
/// This limited the rate to 200 checks per second of any size, against 15,000 of 64 KiB with the
/// GIL, each of which delays the other thread by 33 µs. `verify_many` is for throughput.
const MIN_DETACHED: usize = 64 << 10;

/// The maximum number of webhooks that are hashed together without the GIL.
const MAX_BATCH: usize = 256;

/// Text or bytes of a Python object.
enum TextOrBytes<'py> {
    Text(Bound<'py, PyString>),
    Bytes(Bound<'py, PyBytes>),
    /// For objects that may change, and for repeated headers.
    Copied(Vec<u8>),
}

impl TextOrBytes<'_> {
    /// Return the bytes; text is encoded as UTF-8. None for text that cannot be encoded, which was
    /// never sent and thus never signed.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => text.to_str().ok().map(str::as_bytes),
            Self::Bytes(bytes) => Some(bytes.as_bytes()),
            Self::Copied(bytes) => Some(bytes),
        }
    }

    /// Join the values of a repeated header. Each signature is tried; any other header is never
    /// signed with several values, even if one of them is empty.
    fn join(&self, other: &Self) -> Self {
        Self::Copied(
            [self.bytes(), other.bytes()]
                .map(Option::unwrap_or_default)
                .join(&b' '),
        )
    }
}

/// Read text or bytes; another object is returned.
fn text_or_bytes(value: Bound<'_, PyAny>) -> Result<TextOrBytes<'_>, Bound<'_, PyAny>> {
    match value.cast_into::<PyString>() {
        Ok(text) => Ok(TextOrBytes::Text(text)),
        Err(other) => other
            .into_inner()
            .cast_into()
            .map(TextOrBytes::Bytes)
            .map_err(CastIntoError::into_inner),
    }
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value
        .get_type()
        .name()
        .map_or_else(|_| "something else".to_owned(), |name| name.to_string())
}

fn content<'py>(body: &Bound<'py, PyAny>) -> PyResult<TextOrBytes<'py>> {
    let body = match text_or_bytes(body.clone()) {
        Ok(content) => return Ok(content),
        Err(other) => other,
    };
    if let Ok(bytes) = body.cast::<PyByteArray>() {
        return Ok(TextOrBytes::Copied(bytes.to_vec()));
    }
    if let Ok(buffer) = PyBuffer::<u8>::get(&body) {
        return buffer.to_vec(body.py()).map(TextOrBytes::Copied);
    }
    let kind = type_name(&body);
    Err(PyTypeError::new_err(format!(
        "body must be the raw body as it came (bytes or str), not {kind}: what was parsed cannot be verified"
    )))
}

/// The headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
type WebhookHeaders<'py> = [Option<TextOrBytes<'py>>; 3];

/// Read the headers of a webhook from a mapping, case-sensitive or not, or from pairs.
fn read_headers<'py>(headers: &Bound<'py, PyAny>) -> PyResult<WebhookHeaders<'py>> {
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
        // The undecoded headers of Starlette and httpx.
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
            .map_err(|_| invalid_headers())?
    } else {
        headers.clone()
    };
    find_headers(&pairs)
}

fn look_up<'py, F>(py: Python<'py>, get: F) -> PyResult<WebhookHeaders<'py>>
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

fn find_headers<'py>(pairs: &Bound<'py, PyAny>) -> PyResult<WebhookHeaders<'py>> {
    let mut found: WebhookHeaders<'py> = [None, None, None];
    for each in pairs.try_iter().map_err(|_| invalid_headers())? {
        let (name, value) = pair(each?)?;
        let text = text_or_bytes(name).map_err(|_| invalid_headers())?;
        let Some(name) = text.bytes() else { continue };
        let slot = match name.len() {
            10 if name.eq_ignore_ascii_case(b"webhook-id") => found.get_mut(0),
            17 if name.eq_ignore_ascii_case(b"webhook-timestamp") => found.get_mut(1),
            17 if name.eq_ignore_ascii_case(b"webhook-signature") => found.get_mut(2),
            _ => None,
        };
        if let Some(slot) = slot {
            let value = header(String::from_utf8_lossy(name), value)?;
            *slot = Some(match slot.take() {
                Some(before) => before.join(&value),
                None => value,
            });
        }
    }
    Ok(found)
}

fn invalid_headers() -> PyErr {
    PyTypeError::new_err("headers must be a mapping, or pairs of a name and a value")
}

fn pair(each: Bound<'_, PyAny>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    match each.cast::<PyTuple>() {
        Ok(tuple) if tuple.len() == 2 => Ok((tuple.get_item(0)?, tuple.get_item(1)?)),
        _ => each
            .extract()
            .map(|[name, value]: [Bound<'_, PyAny>; 2]| (name, value))
            .map_err(|_| invalid_headers()),
    }
}

fn header<'py>(name: impl Display, value: Bound<'py, PyAny>) -> PyResult<TextOrBytes<'py>> {
    let invalid_headers = |other| {
        PyTypeError::new_err(format!(
            "the header {name} must be str or bytes, not {}",
            type_name(&other)
        ))
    };
    text_or_bytes(value).map_err(invalid_headers)
}

/// A received webhook.
struct Received<'py> {
    id: TextOrBytes<'py>,
    timestamp: TextOrBytes<'py>,
    signatures: TextOrBytes<'py>,
    body: TextOrBytes<'py>,
}

impl<'py> Received<'py> {
    fn read(headers: &Bound<'py, PyAny>, body: &Bound<'py, PyAny>) -> Result<Self, Refused> {
        let [id, timestamp, signatures] = read_headers(headers)?;
        let id = id.ok_or("no_id")?;
        let timestamp = timestamp.ok_or("no_timestamp")?;
        let signatures = signatures.ok_or("no_signature")?;
        if body.is_none() {
            return Err("no_body".into());
        }
        Ok(Self {
            id,
            timestamp,
            signatures,
            body: content(body)?,
        })
    }

    /// Return what must be verified, or why it is refused without that.
    fn webhook(&self) -> Result<Webhook<'_>, &'static str> {
        match [&self.id, &self.timestamp, &self.signatures, &self.body].map(TextOrBytes::bytes) {
            // An empty header counts as missing.
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

/// Read the keys of one or several secrets: text, or objects with an attribute `key`.
fn read_keys(secrets: &Bound<'_, PyAny>) -> PyResult<Vec<Key>> {
    let py = secrets.py();
    if secrets.is_none() {
        return Err(refused(py, "no_secret", ""));
    }
    if let Some(key) = read_key(secrets)? {
        return Ok(vec![key]);
    }
    let invalid = |secret: &Bound<'_, PyAny>| {
        let kind = type_name(secret);
        PyTypeError::new_err(format!(
            "a webhook secret must be str, or what `webhooks.default.secret.get()` gives, not {kind}"
        ))
    };
    if secrets.is_instance_of::<PyBytes>() {
        return Err(invalid(secrets));
    }
    let mut keys = Vec::new();
    for each in secrets.try_iter().map_err(|_| invalid(secrets))? {
        let each = each?;
        keys.push(read_key(&each)?.ok_or_else(|| invalid(&each))?);
    }
    if keys.is_empty() {
        return Err(refused(py, "no_secret", ""));
    }
    Ok(keys)
}

fn read_key(secret: &Bound<'_, PyAny>) -> PyResult<Option<Key>> {
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
    // Python's error for text that cannot be encoded would show the secret.
    let key = text
        .to_str()
        .map_err(|_| BadSecret::Encoding)
        .and_then(Key::parse);
    key.map(Some)
        .map_err(|problem| refused(py, "secret", &problem.to_string()))
}

/// Return the exception for a webhook or a secret that was refused. `replicate_rs.webhook` has the
/// classes and messages.
fn refused(py: Python<'_>, reason: &str, detail: &str) -> PyErr {
    exception(py, "replicate_rs.webhook", "refused", (reason, detail))
}

/// Why a webhook is refused: a reason of `replicate_rs.webhook.refused`, or an exception because of
/// an argument.
enum Refused {
    Reason(&'static str),
    Error(PyErr),
}

impl From<&'static str> for Refused {
    fn from(reason: &'static str) -> Self {
        Self::Reason(reason)
    }
}

impl From<PyErr> for Refused {
    fn from(error: PyErr) -> Self {
        Self::Error(error)
    }
}

/// The largest accepted distance between a timestamp and now, in seconds.
enum Tolerance<'py> {
    Default,
    /// Checked later, since PyO3 adds notes to errors of an argument's conversion.
    Argument(Bound<'py, PyAny>),
}

impl<'py> Tolerance<'py> {
    fn from_argument(seconds: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Argument(seconds.clone()))
    }

    /// Return the seconds; None for no limit.
    fn seconds(self) -> PyResult<Option<u64>> {
        let seconds = match self {
            Self::Default => return Ok(Some(300)),
            Self::Argument(seconds) if seconds.is_none() => return Ok(None),
            Self::Argument(seconds) => seconds,
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

/// Accepts webhooks that were signed with one of its keys.
///
/// The keys are prepared once, and wiped when the object is deleted.
#[pyclass(name = "Verifier", frozen, subclass, module = "replicate_rs._core")]
pub(crate) struct PyVerifier {
    keys: Vec<Key>,
    tolerance: Option<u64>,
    seen: Option<Py<PyAny>>,
    now: Option<Py<PyAny>>,
}

impl PyVerifier {
    /// Return the accepted timestamps. The current time is that of the call, of the verifier, or of
    /// the clock.
    fn window(&self, py: Python<'_>, now: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Window>> {
        let now = now.or_else(|| self.now.as_ref().map(|now| now.bind(py)));
        let now = now.map(now::from_argument).transpose()?;
        let Some(tolerance) = self.tolerance else {
            return Ok(None);
        };
        let now = match now {
            Some(now) => now,
            None => now::from_clock(py)?,
        };
        Ok(Some(Window { now, tolerance }))
    }

    fn verify_signature(
        &self,
        webhook: &Webhook<'_>,
        window: Option<Window>,
    ) -> Result<(), &'static str> {
        verify(&self.keys, webhook, window).map_err(|refusal| match refusal {
            // Replicate sends no empty body. The request's was probably read before.
            Refusal::Signature if webhook.body.is_empty() => "empty_body",
            Refusal::Signature => "signature",
            Refusal::Timestamp => "timestamp",
            Refusal::Tolerance => "tolerance",
        })
    }

    /// Verify signature and timestamp.
    fn accept<'py>(
        &self,
        headers: &Bound<'py, PyAny>,
        body: &Bound<'py, PyAny>,
        now: Option<&Bound<'py, PyAny>>,
    ) -> Result<Received<'py>, Refused> {
        let py = body.py();
        let window = self.window(py, now)?;
        let received = Received::read(headers, body)?;
        let webhook = received.webhook()?;
        if webhook.body.len() < MIN_DETACHED {
            self.verify_signature(&webhook, window)?;
        } else {
            py.detach(|| self.verify_signature(&webhook, window))?;
        }
        Ok(received)
    }

    /// Return whether an accepted webhook was received before.
    fn has_seen(&self, py: Python<'_>, id: &TextOrBytes<'_>) -> PyResult<bool> {
        match (&self.seen, id.bytes()) {
            (Some(seen), Some(id)) => seen
                .bind(py)
                .call1((String::from_utf8_lossy(id),))?
                .is_truthy(),
            _ => Ok(false),
        }
    }

    fn refused(&self, py: Python<'_>, refusal: impl Into<Refused>) -> PyErr {
        match refusal.into() {
            Refused::Reason(reason) => {
                let detail = self
                    .tolerance
                    .map_or_else(String::new, |seconds| seconds.to_string());
                refused(py, reason, &detail)
            }
            Refused::Error(error) => error,
        }
    }
}

#[pymethods]
impl PyVerifier {
    #[new]
    #[pyo3(
        signature = (secrets, tolerance=Tolerance::Default, *, seen=None, now=None),
        text_signature = "(secrets, tolerance=300, *, seen=None, now=None)"
    )]
    fn new(
        secrets: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = Tolerance::from_argument)] tolerance: Tolerance<'_>,
        seen: Option<&Bound<'_, PyAny>>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        now::check(now)?;
        let seen = seen
            .map(|seen| checked("plain_function", "seen", seen).map(Bound::unbind))
            .transpose()?;
        Ok(Self {
            keys: read_keys(secrets)?,
            tolerance: tolerance.seconds()?,
            seen,
            now: now.cloned().map(Bound::unbind),
        })
    }

    /// Raise unless a webhook is genuine, recent, and, with `seen`, new.
    #[pyo3(signature = (headers, body, *, now=None))]
    fn verify(
        &self,
        headers: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        now: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = body.py();
        let received = self
            .accept(headers, body, now)
            .map_err(|why| self.refused(py, why))?;
        if self.has_seen(py, &received.id)? {
            Err(self.refused(py, "seen"))
        } else {
            Ok(())
        }
    }

    /// Verify a webhook, and return the JSON object of its body.
    #[pyo3(signature = (headers, body, *, now=None))]
    fn read<'py>(
        &self,
        headers: &Bound<'py, PyAny>,
        body: &Bound<'py, PyAny>,
        now: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let py = body.py();
        let received = self
            .accept(headers, body, now)
            .map_err(|why| self.refused(py, why))?;
        let value = decode(py, received.body.bytes().unwrap_or_default())
            .map_err(|problem| refused(py, "content", &problem))?;
        let object = value
            .cast_into()
            .map_err(|_| refused(py, "content", "is JSON, but not an object"))?;
        if self.has_seen(py, &received.id)? {
            Err(self.refused(py, "seen"))
        } else {
            Ok(object)
        }
    }

    /// Verify many pairs of headers and body while other threads run; return None or an exception
    /// for each. `seen` is called after all were verified.
    #[pyo3(signature = (webhooks, *, now=None))]
    fn verify_many<'py>(
        &self,
        webhooks: &Bound<'py, PyAny>,
        now: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = webhooks.py();
        now::check(now)?;
        let invalid = || PyTypeError::new_err("webhooks must be pairs of headers and body");
        let mut webhooks = webhooks.try_iter().map_err(|_| invalid())?;
        let mut verdicts = Vec::new();
        loop {
            let mut batch = Vec::with_capacity(MAX_BATCH);
            for webhook in webhooks.by_ref().take(MAX_BATCH) {
                let (headers, body) = pair(webhook?).map_err(|_| invalid())?;
                batch.push(match Received::read(&headers, &body) {
                    Ok(received) => Ok(received),
                    Err(Refused::Reason(reason)) => Err(reason),
                    Err(Refused::Error(error)) => return Err(error),
                });
            }
            if batch.is_empty() {
                break;
            }
            let window = self.window(py, now)?;
            let read: Vec<_> = batch
                .iter()
                .map(|received| received.as_ref().map_err(|reason| *reason)?.webhook())
                .collect();
            let verify = |webhook: Result<Webhook<'_>, _>| {
                webhook.and_then(|webhook| self.verify_signature(&webhook, window))
            };
            let verified: Vec<_> = py.detach(|| read.into_iter().map(verify).collect());
            // Only the ids are kept, and not the bodies.
            for (received, verified) in batch.into_iter().zip(verified) {
                verdicts.push(verified.and(received.map(|received| received.id)));
            }
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

    // `seen` and `now` may be methods of an object that refers to this one.
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

/// Return the header `webhook-signature` for a webhook, with an entry per secret.
#[pyfunction]
pub(crate) fn sign_webhook(
    secrets: &Bound<'_, PyAny>,
    id: &str,
    timestamp: &str,
    body: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let content = content(body)?;
    let bytes = content
        .bytes()
        .ok_or_else(|| PyValueError::new_err("body is text that cannot be written as UTF-8"))?;
    let signed: Vec<_> = read_keys(secrets)?
        .iter()
        .map(|key| key.sign(id.as_bytes(), timestamp.as_bytes(), bytes))
        .collect();
    Ok(signed.join(" "))
}
