"""Everything this library raises for what goes wrong outside the program.

    ReplicateException                          the root
    └── ReplicateError                          any of the following
        ├── RequestError                        an error of the API or of the way to it │   ├──
        MissingTokenError               no API token, and the API is not on this machine │   ├──
        APIError │   │   ├── APIStatusError              the API answered with a status of 400 or
        more │   │   │   ├── BadRequestError         400 │   │   │   ├── AuthenticationError     401
        │   │   │   ├── InsufficientCreditError 402 │   │   │   ├── PermissionDeniedError   403 │
        │   │   ├── NotFoundError           404 │   │   │   ├── ConflictError           409 │   │
        │   ├── PayloadTooLargeError    413 │   │   │   ├── UnprocessableEntityError 422 │   │   │
        ├── RateLimitError          429 │   │   │   └── InternalServerError     500 and above │   │
        ├── APIConnectionError          (also a ConnectionError) no answer: no connection, or a
        broken one │   │   │   └── APITimeoutError         (also a TimeoutError) no answer in time │
        │   └── APIResponseValidationError  an answer that is not what the endpoint promises │   ├──
        PredictionTimeout               (also a TimeoutError) the caller's deadline passed first │
        ├── StreamError                     a stream cannot be read │   │   ├── StreamInterrupted
        a stream broke off, and nothing can tell its rest │   │   └── EventTooLarge
        one event of a stream is larger than the limit │   ├── FileError                       (also
        an OSError, such as FileNotFoundError) a local file failed │   ├── ClientClosedError
        (also a RuntimeError) the client was closed │   ├── ForkedError                     (also a
        RuntimeError) the call was begun before the process was forked │   └── AbortError
        the caller's signal was aborted └── ModelError                          the prediction
        failed
            └── PredictionCanceled              the prediction was canceled or aborted

Under the name `replicate` (`replicate_rs.drop_in`), `ReplicateError` is `RequestError`: in 1.0.7 a
`ModelError` is not one.

Mistakes of the caller (a malformed reference, a wrong keyword) are `ValueError` and `TypeError`.
Webhook refusals are `ValueError`s too, as in `replicate` 1.0.7; `replicate_rs.webhook` has them.

Every error carries what is known of `status`, `detail`, `request_id`, `prediction` and
`retry_after` (seconds).
"""

from __future__ import annotations

from ._base.describe import wrong_type
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
    "UnprocessableEntityError",
]

# Bytes of an answer that an error message shows.
EXCERPT = 200


class ReplicateException(Exception):
    """The root of all errors of this library."""


class ReplicateError(ReplicateException):
    """Any error of a call, with the fields of the API's problem document (RFC 9457), as far as they
    are known.
    """

    prediction: Job[Any] | None = None
    request_id: str | None = None
    retry_after: float | None = None
    # What a create has made although it ended in this error; set by the core.
    _created: dict[str, Any] | None = None
    # Whether a server may have taken the request.
    _sent: bool = False
    # What ended the attempt before the one in which time ran out; set by the core.
    _last: str | None = None
    # What the request was about, where the API does not say.
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
        """Create the error for a response of httpx, or one that looks like it, with a status of 400
        or more; as in 1.0.7.
        """
        request = getattr(response, "_request", None)
        method, url = ("", "") if request is None else (request.method, str(request.url))
        return from_response(
            response.status_code, method, url, [*response.headers.items()], response.content
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the problem document's fields that are known."""
        fields = {
            name: getattr(self, name) for name in ("type", "title", "status", "detail", "instance")
        }
        return {name: value for name, value in fields.items() if value is not None}

    def __str__(self) -> str:
        subject = f" ({_printable(self._subject, keep='')})" if self._subject else ""
        if self.title is None and self.status is None:
            return _in_one_line(str(self.detail or self.type or "")) + subject
        fields = {
            name: getattr(self, name) for name in ("type", "title", "status", "instance", "detail")
        }
        return (
            ", ".join(
                f"{name}: {_in_one_line(str(value))}"
                for name, value in fields.items()
                if value is not None
            )
            + subject
        )


class RequestError(ReplicateError):
    """An error of the API or of the way to it: any but a model's."""


class MissingTokenError(RequestError):
    """There is no API token, and the API is not on this machine; nothing was sent."""


class APIError(RequestError):
    """A request that brought no usable answer."""

    method: str = ""
    url: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = {}
    """By lower-case name; none if there was no answer."""

    @property
    def status_code(self) -> int | None:
        """The HTTP status, under the name of 2.0."""
        return self.status

    @property
    def message(self) -> str:
        """The error as text, under the name of 2.0."""
        return str(self)


class APIStatusError(APIError):
    """The API answered with a status of 400 or more."""


class BadRequestError(APIStatusError):
    """Status 400."""


class AuthenticationError(APIStatusError):
    """Status 401: the token is missing or wrong."""


class InsufficientCreditError(APIStatusError):
    """Status 402: the account has no credit left."""


class PermissionDeniedError(APIStatusError):
    """Status 403."""


class NotFoundError(APIStatusError):
    """Status 404."""


class ConflictError(APIStatusError):
    """Status 409."""


class PayloadTooLargeError(APIStatusError):
    """Status 413: the file is larger than the API takes."""


class UnprocessableEntityError(APIStatusError):
    """Status 422: the input does not fit the model."""


class RateLimitError(APIStatusError):
    """Status 429: too many requests; `retry_after` says when to come back, in seconds."""


class InternalServerError(APIStatusError):
    """Status 500 or above."""


class APIConnectionError(APIError, ConnectionError):
    """No answer came: there was no connection, or it broke.

    `errno` and `__cause__` have the system's error, if there was one.
    """


class APITimeoutError(APIConnectionError, TimeoutError):
    """No answer came in time; the message names the phase."""

    is_deadline: bool = False


class APIResponseValidationError(APIError):
    """An answer that is not what the endpoint promises."""


class ModelError(ReplicateError):
    """The prediction failed; its message is the model's."""

    prediction: Prediction[Any]

    def __init__(self, prediction: Prediction[Any] | str) -> None:
        """Create an error from the prediction that failed, or, as tests do, from a message alone."""
        if isinstance(prediction, str):
            message = prediction
        elif hasattr(prediction, "status"):
            message = prediction.error or f"the prediction {prediction.id} {prediction.status}"
            self.prediction = prediction  # pyright: ignore[reportIncompatibleVariableOverride]  # here there is one
        else:
            raise wrong_type("prediction", "a Prediction, or a message", prediction)
        super().__init__(detail=message)
        self.args: tuple[Any, ...] = (message,)

    def __str__(self) -> str:
        # A model's own words, which may be a traceback.
        return _printable(str(self.detail or ""))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (vars(self).get("prediction", self.detail),)


class PredictionCanceled(ModelError):
    """The prediction was canceled, or aborted before it started."""


class PredictionTimeout(RequestError, TimeoutError):
    """The caller's deadline passed before the prediction was done; `prediction` is how far it was,
    if it was created.
    """

    def __init__(self, detail: str, prediction: Job[Any] | None = None) -> None:
        super().__init__(detail=detail)
        self.prediction: Job[Any] | None = prediction

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail, self.prediction)


class StreamError(RequestError):
    """A stream cannot be read."""

    def __init__(self, detail: str, prediction: Job[Any] | None = None) -> None:
        super().__init__(detail=detail)
        self.prediction: Job[Any] | None = prediction

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail, self.prediction)


class StreamInterrupted(StreamError):
    """A stream broke off, and nothing can tell its rest; `last_event_id` is the last that came, if
    events had ids.
    """

    def __init__(
        self, detail: str, prediction: Job[Any] | None = None, last_event_id: str | None = None
    ) -> None:
        super().__init__(detail, prediction)
        self.last_event_id: str | None = last_event_id

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail, self.prediction, self.last_event_id)


class EventTooLarge(StreamError):
    """One event of a stream is larger than `max_response_bytes`, or what an `EventDecoder` was
    given.
    """


class FileError(RequestError, OSError):
    """A local file could not be read or written.

    With the `errno` and the `filename` of the system's error, and of its class too: a file that is
    missing is a `FileNotFoundError`, one that may not be read a `PermissionError`.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return file_error, (self.detail or "", self.errno, self.filename), dict(self.__dict__)


class ClientClosedError(RequestError, RuntimeError):
    """The client was closed.

    `prediction` is what it held for this call, if it is known; closing has cancelled it.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail,)


class ForkedError(RequestError, RuntimeError):
    """The call was begun before the process was forked, and has to be made again in this process."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.detail,)


class AbortError(RequestError):
    """The caller's signal was aborted; `reason` is what was given to `abort()`."""

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


# A class is created when it is first wanted: classes of errors are what this module costs.
_FILE_ERRORS: dict[type[OSError], type[FileError]] = {}


def _file_error_class(kind: type[OSError]) -> type[FileError]:
    """Return the class of errors of local files that is a class of Python's too."""
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
        made = type(
            "FileError", (FileError, kind), {"__module__": __name__, "__doc__": FileError.__doc__}
        )
        # Of two threads, both get that of the first.
        return _FILE_ERRORS.setdefault(kind, made)


def file_error(detail: str, errno: int | None = None, filename: object = None) -> FileError:
    """Return the error for a local file, of the class that Python has for `errno` too."""
    error = _file_error_class(type(OSError(errno or 0, "")))(detail=detail)
    if errno is not None:
        from os import strerror

        error.errno, error.strerror = errno, strerror(errno)
    if filename is not None:
        error.filename = filename
    return error


# What follows is called by the core, with what it knows of a failure.


def missing_token(base_url: str) -> MissingTokenError:
    """Make the error for a request without a token."""
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
    """Make the error for a request without an answer."""
    method, url = request or ("", "")
    if kind == "file":
        # The body of its request is not whole, so the server has not taken it.
        failed = file_error(message, errno, filename)
        failed.request_id, failed._sent = request_id, sent
        return failed
    detail = f"{method} {url}: {message}" if request else message
    if sent and method == "POST":
        detail += (
            ". The server may have taken this request: before you repeat it, look for what it"
            f" made{_where(url)}"
        )
    make: Any = _BY_FAILURE[kind]
    error: ReplicateError = make(detail=detail)
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


def _where(url: str) -> str:
    path = url.partition("?")[0]
    if path.endswith("/predictions"):
        return " (client.predictions.list() has the newest first, and it can be cancelled)"
    if path.endswith("/trainings"):
        return " (client.trainings.list() has the newest first, and it can be cancelled)"
    return ""


def from_response(
    status: int, method: str, url: str, headers: list[tuple[str, str]], body: bytes
) -> APIStatusError:
    """Make the error for a status of 400 or more, from a problem document or whatever else came."""
    body = _without_secrets(body)
    error = _BY_STATUS.get(status, InternalServerError if status >= 500 else APIStatusError)()
    problem = _problem(body)
    detail = problem.get("detail")
    if detail is None:
        detail = f"{method} {url}: {excerpt(body)}"
    error.type, error.title, error.instance = (
        _text(problem.get(name)) for name in ("type", "title", "instance")
    )
    error.status, error.detail = status, _text(detail)
    error.args = (error.type, error.title, error.status, error.detail, error.instance)
    _add(error, method, url, headers, body)
    if status in (404, 422):
        error._subject = _subject(status, method, url)
    error.retry_after = retry_after(
        error.headers.get("retry-after"), error.headers.get("date"), body
    )
    return error


def _subject(status: int, method: str, url: str) -> str:
    """Return what a request was about, by its path, such as ``model acme/x``; nothing for other
    paths.
    """
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
    """Make the error for an answer that is not what the endpoint promises."""
    body = _without_secrets(body)
    error = APIResponseValidationError(
        status=status, detail=f"the answer to {method} {url} {problem}: {excerpt(body)}"
    )
    _add(error, method, url, headers, body)
    return error


def excerpt(body: bytes) -> str:
    """Show the beginning of a body, with control characters escaped."""
    if not body:
        return "(empty)"
    shown = _printable(body[:EXCERPT].decode("utf-8", "replace"), keep="")
    return shown + (f"… ({len(body)} bytes)" if len(body) > EXCERPT else "")


def _in_one_line(text: str) -> str:
    """Join the lines of a text, and escape what a terminal would obey."""
    if text.isprintable():
        return text
    return _printable(
        "; ".join(line.strip() for line in text.splitlines() if line.strip()), keep=""
    )


def _printable(text: str, keep: str = "\n\t") -> str:
    """Escape what a terminal would obey: what servers and models say is not to be trusted with
    that.
    """
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


def _add(
    error: APIError, method: str, url: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    error.method, error.url, error.body = method, url, body
    error.headers = dict(headers)
    error.request_id = error.headers.get("x-request-id") or error.headers.get("cf-ray")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _without_secrets(body: bytes) -> bytes:
    """Take the account's webhook secret out of a body that an error will show; an answer with it
    may be cut short.
    """
    if b"whsec_" not in body:
        return body
    from re import sub

    return sub(rb"whsec_[\w+/=-]*", b"[REDACTED]", body)


def _problem(body: bytes) -> dict[str, Any]:
    from json import loads

    try:
        problem: object = loads(body)
    except (ValueError, RecursionError):
        return {}
    return problem if is_object(problem) else {}


defer_annotations(globals())
