"""The errors that this library raises for what goes wrong outside the program.

    ReplicateException                          the root
    └── ReplicateError                          any of the following
        ├── RequestError                        an error of the API or of the connection to it
        │   ├── MissingTokenError               no API token, and the API is not on this machine
        │   ├── APIError
        │   │   ├── APIStatusError              the API answered with a status of 400 or more
        │   │   │   ├── BadRequestError         400
        │   │   │   ├── AuthenticationError     401
        │   │   │   ├── InsufficientCreditError 402
        │   │   │   ├── PermissionDeniedError   403
        │   │   │   ├── NotFoundError           404
        │   │   │   ├── ConflictError           409
        │   │   │   ├── PayloadTooLargeError    413
        │   │   │   ├── UnprocessableEntityError 422
        │   │   │   ├── RateLimitError          429
        │   │   │   └── InternalServerError     500 and above
        │   │   ├── APIConnectionError          no connection, or a broken one [ConnectionError]
        │   │   │   └── APITimeoutError         no answer in time [TimeoutError]
        │   │   └── APIResponseValidationError  an answer that breaks the endpoint's contract
        │   ├── PredictionTimeout               the caller's deadline passed [TimeoutError]
        │   ├── StreamError                     a stream cannot be read
        │   │   ├── StreamInterrupted           a stream broke off and cannot be resumed
        │   │   └── EventTooLarge               one event of a stream exceeds the limit
        │   ├── FileError                       a local file failed [OSError, FileNotFoundError, …]
        │   ├── ClientClosedError               the client was closed [RuntimeError]
        │   ├── ForkedError                     the process was forked meanwhile [RuntimeError]
        │   └── AbortError                      the caller's signal was aborted
        └── ModelError                          the prediction failed
            └── PredictionCanceled              the prediction was canceled or aborted

In brackets: Python's own class that the error is an instance of too.

Under the name `replicate` (`replicate_rs.drop_in`), `ReplicateError` is `RequestError`, because in
1.0.7 a `ModelError` is not a `ReplicateError`.

Mistakes of the caller (a malformed reference, an unknown keyword) are `ValueError` and `TypeError`.
So are webhooks that fail verification, as in 1.0.7: see `replicate_rs.webhook`.

Every error has `status`, `detail`, `request_id`, `prediction` and `retry_after` (seconds); each is
None if it is not known.
"""

from __future__ import annotations

from ._base.checks import wrong_type
from ._base.typing import TYPE_CHECKING, defer_annotations, is_object
from ._core import retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._predictions.job import Job
    from .prediction import Prediction

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AbortError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConflictError",
    "EventTooLarge",
    "FileError",
    "ForkedError",
    "InsufficientCreditError",
    "InternalServerError",
    "JournalError",
    "MissingTokenError",
    "ModelError",
    "NotFoundError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PredictionCanceled",
    "PredictionTimeout",
    "RateLimitError",
    "ReplicateError",
    "ReplicateException",
    "RequestError",
    "StreamError",
    "StreamInterrupted",
    "TooManyFailures",
    "UnprocessableEntityError",
]

# Bytes of a response body that an error message shows.
MAX_EXCERPT = 200


class ReplicateException(Exception):
    """The root of all errors of this library; catch `ReplicateError`."""


class ReplicateError(ReplicateException):
    """An error of a call, with the known fields of the API's problem document (RFC 9457)."""

    prediction: Job[Any] | None = None
    """The prediction or training that the error concerns; None if it is not known."""
    request_id: str | None = None
    """The id under which the API knows the request; give it to Replicate's support."""
    retry_after: float | None = None
    """Seconds after which the API allows another attempt; None if it said nothing."""
    # The record that a create call made although it ended in this error; set by the core.
    _created: dict[str, Any] | None = None
    # Whether the server may have processed the request.
    _sent: bool = False
    # Why the attempt before the one that timed out had failed; set by the core.
    _last: str | None = None
    # The resource that was requested, such as "model acme/x", if the API does not name it.
    _subject: str = ""

    def __init__(
        self,
        type: str | None = None,
        title: str | None = None,
        status: int | None = None,
        detail: str | None = None,
        instance: str | None = None,
    ) -> None:
        super().__init__(type, title, status, detail, instance)
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.instance = instance

    @classmethod
    def from_response(cls, response: Any) -> ReplicateError:
        """Create the error for an httpx response with a status of 400 or more, as in 1.0.7.

        Args:
            response: The response, or an object with the same attributes.

        """
        request = getattr(response, "_request", None)
        method, url = ("", "") if request is None else (request.method, str(request.url))
        return from_response(
            response.status_code, method, url, [*response.headers.items()], response.content
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the problem document that are known."""
        return self._get_fields("type", "title", "status", "detail", "instance")

    def _get_fields(self, *names: str) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def __str__(self) -> str:
        subject = f" ({_printable(self._subject, keep='')})" if self._subject else ""
        if self.title is None and self.status is None:
            return _to_line(str(self.detail or self.type or "")) + subject
        fields = self._get_fields("type", "title", "status", "instance", "detail")
        return (
            ", ".join(f"{name}: {_to_line(str(value))}" for name, value in fields.items()) + subject
        )


class RequestError(ReplicateError):
    """An error of the API, of the connection to it, or of the caller's side; not of a model."""


class MissingTokenError(RequestError):
    """There is no API token, and the API is not on this machine. Nothing was sent.

    Set `REPLICATE_API_TOKEN`, or pass `api_token=` to the client.
    """


class APIError(RequestError):
    """A request without a usable response; the subclass says why."""

    method: str = ""
    """The HTTP method of the request; empty if it is not known."""
    url: str = ""
    """The URL of the request, without secrets; empty if it is not known."""
    body: bytes = b""
    """The response's body; empty if there was no response."""
    headers: Mapping[str, str] = {}
    """The response headers by lower-case name; empty if there was no response."""

    @property
    def status_code(self) -> int | None:
        """The HTTP status, under its 2.0 name."""
        return self.status

    @property
    def message(self) -> str:
        """The error as text, under its 2.0 name."""
        return str(self)


class APIStatusError(APIError):
    """The API answered with a status of 400 or more; each usual status has a subclass."""


class BadRequestError(APIStatusError):
    """Status 400: the API cannot use the request; `detail` says why."""


class AuthenticationError(APIStatusError):
    """Status 401: the token is missing or wrong; check `REPLICATE_API_TOKEN`, or `api_token=`."""


class InsufficientCreditError(APIStatusError):
    """Status 402: the account has no credit left; add some on its billing page."""


class PermissionDeniedError(APIStatusError):
    """Status 403: the account that the token belongs to may not do this."""


class NotFoundError(APIStatusError):
    """Status 404: what the request names does not exist, or this account may not see it."""


class ConflictError(APIStatusError):
    """Status 409: the request does not fit the present state of what it names; fetch that first."""


class PayloadTooLargeError(APIStatusError):
    """Status 413: the file is larger than the API accepts; pass the URL of a file instead."""


class UnprocessableEntityError(APIStatusError):
    """Status 422: the input does not fit the model; `detail` names each wrong input."""


class RateLimitError(APIStatusError):
    """Status 429: too many requests; repeat after `retry_after` seconds.

    `is_deadline` says that the call would have waited so long, but for its `timeout`.
    """

    is_deadline: bool = False
    """Whether the call would have waited so long, but for its `timeout`."""


class InternalServerError(APIStatusError):
    """Status 500 or above: the service failed; GET requests were repeated already."""


class APIConnectionError(APIError, ConnectionError):
    """No response: the connection could not be opened, or it broke.

    `errno` and `__cause__` are those of the operating system's error, if there was one.
    """


class APITimeoutError(APIConnectionError, TimeoutError):
    """No response in time; the message names the phase."""

    is_deadline: bool = False
    """Whether the call's `timeout` passed, and not that of one part of a request."""


class APIResponseValidationError(APIError):
    """A response that does not match what the endpoint documents; `body` has it.

    A proxy or a gateway that answers in the API's place is the usual reason.
    """


class ModelError(ReplicateError):
    """The prediction failed; the message is the model's, and ``prediction.logs`` may tell more."""

    prediction: Prediction[Any]

    def __init__(self, prediction: Prediction[Any] | str) -> None:
        """Create the error from the failed prediction, or, for tests, from a message alone."""
        if isinstance(prediction, str):
            message = prediction
        elif hasattr(prediction, "status"):
            message = prediction.error or f"the prediction {prediction.id} {prediction.status}"
            self.prediction = prediction  # pyright: ignore[reportIncompatibleVariableOverride]  # never None here
        else:
            raise wrong_type("prediction", "a Prediction, or a message", prediction)
        super().__init__(detail=message)
        self.args: tuple[Any, ...] = (message,)

    def __str__(self) -> str:
        # The model's message, which may be a traceback.
        return _printable(str(self.detail or ""))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (vars(self).get("prediction", self.detail),)


class PredictionCanceled(ModelError):
    """The prediction was canceled, or aborted before it started; run it again if need be."""


class PredictionTimeout(RequestError, TimeoutError):
    """The caller's deadline passed before the prediction ended.

    `prediction` is its last known state, or None if it was not created. `retry_after` is known if
    the API's rate limit would not have been over before the deadline; this is raised at once then.
    """

    def __init__(self, detail: str, prediction: Job[Any] | None = None) -> None:
        super().__init__(detail=detail)
        self.prediction: Job[Any] | None = prediction

    def __reduce__(self) -> tuple[Any, ...]:
        state = None if self.retry_after is None else {"retry_after": self.retry_after}
        return type(self), (self.detail, self.prediction), state


class StreamError(RequestError):
    """A stream cannot be read; without a stream, `run` returns the same output at the end."""

    def __init__(self, detail: str, prediction: Job[Any] | None = None) -> None:
        super().__init__(detail=detail)
        self.prediction: Job[Any] | None = prediction

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail, self.prediction)


class StreamInterrupted(StreamError):
    """A stream broke off, and the rest cannot be fetched in another way.

    `last_event_id` is the id of the last event received, if events had ids.
    """

    def __init__(
        self, detail: str, prediction: Job[Any] | None = None, last_event_id: str | None = None
    ) -> None:
        super().__init__(detail, prediction)
        self.last_event_id: str | None = last_event_id

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail, self.prediction, self.last_event_id)


class EventTooLarge(StreamError):
    """One event of a stream is larger than `max_response_bytes` or an `EventDecoder`'s limit."""


class JournalError(RequestError):
    """The journal of `map` cannot be opened, read or written; the message says why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail,)


class TooManyFailures(RequestError):
    """More inputs of `map` failed than ``max_failures=`` allows."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail,)


class FileError(RequestError, OSError):
    """A local file could not be read or written.

    It has the `errno` and `filename` of the operating system's error, and is an instance of that
    error's class too: `FileNotFoundError` for a missing file, `PermissionError` for one that may
    not be read.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return file_error, (self.detail or "", self.errno, self.filename), dict(self.__dict__)


class ClientClosedError(RequestError, RuntimeError):
    """The client was closed.

    `prediction` is the one that this call had created, if it is known; closing has cancelled it.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail,)


class ForkedError(RequestError, RuntimeError):
    """The call began before the process was forked; repeat it in this process."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail,)


class AbortError(RequestError):
    """The caller's signal was aborted; `reason` is the argument of `abort()`."""

    def __init__(self, reason: object = None) -> None:
        super().__init__(
            detail="the call was aborted" if reason is None else f"the call was aborted: {reason}"
        )
        self.reason = reason
        if isinstance(reason, BaseException):
            self.__cause__: BaseException | None = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,)


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientCreditError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}

# What a reader can do next, where the API's own text does not say it.
_HINTS = {
    401: "check the token: REPLICATE_API_TOKEN, or api_token=",
    402: "add credit on the account's billing page",
    403: "the account that the token belongs to may not do this",
    413: "pass the URL of a file instead of the file",
}

_BY_FAILURE: dict[str, type[ReplicateError]] = {
    "deadline": APITimeoutError,
    "timeout": APITimeoutError,
    "connect": APIConnectionError,
    "disconnected": APIConnectionError,
    "protocol": APIConnectionError,
    "too_large": APIResponseValidationError,
    "event_too_large": EventTooLarge,
    "busy": StreamError,
    "closed": ClientClosedError,
    "internal": APIConnectionError,
}


# Classes are created on first use: creating error classes is most of this module's import time.
_FILE_ERRORS: dict[type[OSError], type[FileError]] = {}


def _file_error_class(kind: type[OSError]) -> type[FileError]:
    """Return the subclass of `FileError` that is also a subclass of `kind`."""
    if kind not in (
        FileExistsError,
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
    ):
        return FileError
    try:
        return _FILE_ERRORS[kind]
    except KeyError:
        both = type(
            "FileError", (FileError, kind), {"__module__": __name__, "__doc__": FileError.__doc__}
        )
        # If two threads create it at once, both use the first.
        return _FILE_ERRORS.setdefault(kind, both)


def file_error(detail: str, errno: int | None = None, filename: object = None) -> FileError:
    """Create the error for a local file; it is an instance of Python's class for `errno` too."""
    error = _file_error_class(type(OSError(errno or 0, "")))(detail=detail)
    if errno is not None:
        from os import strerror

        error.errno, error.strerror = errno, strerror(errno)
    if filename is not None:
        error.filename = filename
    return error


# The core calls the following functions to create its errors.


def missing_token(base_url: str) -> MissingTokenError:
    """Create the error for a request without a token."""
    return MissingTokenError(
        detail=(
            f"no API token for {base_url}: set REPLICATE_API_TOKEN, or pass api_token= to the"
            " client. Tokens are at https://replicate.com/account/api-tokens"
        )
    )


def from_failure(
    kind: str,
    message: str,
    request: tuple[str, str] | None,
    errno: int | None,
    sent: bool,
    request_id: str | None,
    filename: str | None = None,
) -> ReplicateError:
    """Create the error for a request without a response.

    Args:
        kind: The kind of failure, as the core names it.
        message: What happened.
        request: Method and URL; None if the failure does not concern a request.
        errno: The operating system's error number, if there is one.
        sent: Whether the server may have processed the request.
        request_id: The id under which the API knows the request.
        filename: The local file that failed.

    """
    method, url = request or ("", "")
    if kind == "file":
        # The request body is incomplete, so the server has not processed the request.
        failure = file_error(message, errno, filename)
        failure.request_id, failure._sent = request_id, sent
        return failure
    detail = f"{method} {url}: {message}" if request else message
    if sent and method == "POST":
        detail += (
            ". The server may have taken this request: before you repeat it, look for what it"
            f" created{_get_lookup_hint(url)}"
        )
    error_class: Any = _BY_FAILURE[kind]
    error: ReplicateError = error_class(detail=detail)
    error.request_id, error._sent = request_id, sent
    if isinstance(error, APIError):
        error.method, error.url = method, url
    if isinstance(error, APITimeoutError):
        error.is_deadline = kind == "deadline"
    if errno is not None:
        if isinstance(error, OSError):
            error.errno = errno
        error.__cause__ = OSError(errno, message)
    return error


def _get_lookup_hint(url: str) -> str:
    path = url.partition("?")[0]
    if path.endswith("/predictions"):
        return " (client.predictions.list() has the newest first, and it can be cancelled)"
    if path.endswith("/trainings"):
        return " (client.trainings.list() has the newest first, and it can be cancelled)"
    return ""


def from_response(
    status: int, method: str, url: str, headers: list[tuple[str, str]], body: bytes
) -> APIStatusError:
    """Create the error for a status of 400 or more, from a problem document or any other body."""
    body = _redact(body)
    error = _BY_STATUS.get(status, InternalServerError if status >= 500 else APIStatusError)()
    problem = _read_problem(body)
    detail = problem.get("detail")
    if detail is None:
        detail = f"{method} {url}: {excerpt(body)}"
    error.type, error.title, error.instance = (
        _to_text(problem.get(name)) for name in ("type", "title", "instance")
    )
    error.status, error.detail = status, _to_text(detail)
    error.args = (error.type, error.title, error.status, error.detail, error.instance)
    _set_response(error, method, url, headers, body)
    if status in (404, 422):
        error._subject = _get_subject(status, method, url)
    elif "/v1/" in url:
        # Files come from other hosts, which get no token.
        error._subject = _HINTS.get(status, "")
    error.retry_after = retry_after(
        error.headers.get("retry-after"), error.headers.get("date"), body
    )
    return error


def _get_subject(status: int, method: str, url: str) -> str:
    """Name the resource that a path addresses, such as ``model acme/x``; empty if unknown."""
    from urllib.parse import unquote

    kind, *names = [unquote(each) for each in url.partition("?")[0].partition("/v1/")[2].split("/")]
    if kind in ("predictions", "trainings", "collections"):
        return f"{kind[:-1]} {names[0]}" if names else ""
    if kind not in ("models", "deployments") or len(names) < 2:
        return ""
    name, rest = "/".join(names[:2]), names[2:]
    if rest[:1] == ["versions"] and len(rest) > 1:
        return f"version {rest[1]} of the model {name}"
    if kind == "models" and rest == ["predictions"] and method == "POST" and status == 404:
        return (
            f"model {name}: check the name; a model that is run by its versions needs one,"
            f" '{name}:version'"
        )
    return f"{kind[:-1]} {name}"


def from_unexpected(
    problem: str, status: int, method: str, url: str, headers: list[tuple[str, str]], body: bytes
) -> APIResponseValidationError:
    """Create the error for a response that does not match what the endpoint documents."""
    body = _redact(body)
    error = APIResponseValidationError(
        status=status, detail=f"the answer to {method} {url} {problem}: {excerpt(body)}"
    )
    _set_response(error, method, url, headers, body)
    return error


def excerpt(body: bytes) -> str:
    """Return the beginning of a body as text, with control characters escaped."""
    if not body:
        return "(empty)"
    start = _printable(body[:MAX_EXCERPT].decode("utf-8", "replace"), keep="")
    return start + (f"… ({len(body)} bytes)" if len(body) > MAX_EXCERPT else "")


def _to_line(text: str) -> str:
    """Join the lines of a text, and escape control characters."""
    if text.isprintable():
        return text
    return _printable(
        "; ".join(line.strip() for line in text.splitlines() if line.strip()), keep=""
    )


def _printable(text: str, keep: str = "\n\t") -> str:
    """Escape control characters: a terminal would obey those that a server or a model sends."""
    if text.isprintable():
        return text
    return "".join(
        (
            each
            if each.isprintable() or each in keep
            else each.encode("unicode_escape", "backslashreplace").decode()
        )
        for each in text
    )


def _set_response(
    error: APIError, method: str, url: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    error.method, error.url, error.body = method, url, body
    error.headers = dict(headers)
    error.request_id = error.headers.get("x-request-id") or error.headers.get("cf-ray")


def _to_text(value: object) -> str | None:
    return None if value is None else str(value)


def _redact(body: bytes) -> bytes:
    """Remove the account's webhook secret from a body that an error will show."""
    if b"whsec_" not in body:
        return body
    from re import sub

    return sub(rb"whsec_[\w+/=-]*", b"[REDACTED]", body)


def _read_problem(body: bytes) -> dict[str, Any]:
    from json import loads

    try:
        problem: object = loads(body)
    except (ValueError, RecursionError):
        return {}
    return problem if is_object(problem) else {}


defer_annotations(globals())
