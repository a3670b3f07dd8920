"""The Rust core. Operations that take time return a `Pending`, to be awaited or waited for."""

from collections.abc import Callable, Generator, Iterable, Sequence
from os import PathLike
from typing import Any, ClassVar, Final, Generic, Literal, Self, TypeAlias, TypeVar, final, overload

from typing_extensions import disjoint_base

from ._base.resource import M as _M_co  # noqa: N811 - a type variable, of this module's own name
from ._files.output import FileOutput
from .stream import EventType as _EventType
from .types import Now as _Now
from .types import Seconds as _Seconds
from .types import Secrets as _Secrets
from .types import WebhookBody as _RawBody
from .types import WebhookHeaders as _Headers
from .webhook import WebhookValidationError

__all__ = [
    "AbortController",
    "AbortSignal",
    "Core",
    "DownloadCounters",
    "EventDecoder",
    "Expect",
    "HubPort",
    "JsonObject",
    "Part",
    "Pending",
    "Response",
    "ResponseStream",
    "ServerSentEvent",
    "StreamPosition",
    "Upload",
    "Verifier",
    "__version__",
    "finish_detached",
    "is_plain",
    "read_data_uri",
    "retry_after",
    "set_tracer",
    "sign_webhook",
    "write_file",
    "write_json",
]

__version__: Final[str]

_T = TypeVar("_T")
_A = TypeVar("_A")
_R = TypeVar("_R")
_T_co = TypeVar("_T_co", covariant=True)
_Pairs: TypeAlias = Sequence[tuple[str, str]]
_Target: TypeAlias = str | tuple[str, ...]
_Form: TypeAlias = Literal["events", "text", "frames"]
_Body: TypeAlias = bytes | Upload
# The headers of a file's response: its media type, its length in bytes, its `Content-Disposition`,
# and its `ETag` or `Last-Modified`.
_FileInfo: TypeAlias = tuple[str | None, int | None, str | None, str | None]

@final
class Pending(Generic[_T_co]):
    """An operation of the core: `wait()` blocks, `await` does not. Either is possible once."""

    def begin(self) -> None: ...
    def give_up(self) -> None: ...
    def cancel_created(self) -> None:
        """Cancel what a create request has created, because its caller did not receive it."""

    def wait(self) -> _T_co: ...
    def blocking(self) -> Self:
        """Have `await` block this thread, and return this object."""

    def then(self, convert: Callable[[_T_co, _A], _R], argument: _A) -> Pending[_R]:
        """Have `convert(result, argument)` be the result, and return this object."""

    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    def __next__(self) -> Self: ...
    def throw(self, error: object, value: object = None, traceback: object = None) -> Any: ...
    def close(self) -> None: ...
    def get_loop(self) -> Any: ...
    def start_on(self, event_loop: Any, port: HubPort) -> None: ...
    def add_done_callback(self, callback: Any, *, context: Any = None) -> None: ...
    def remove_done_callback(self, callback: Any) -> int: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def result(self) -> _T_co: ...
    def exception(self) -> BaseException | None: ...
    def cancel(self, msg: Any = None) -> bool: ...
    @property
    def _cancel_message(self) -> Any: ...
    def _make_cancelled_error(self) -> BaseException: ...
    @property
    def _asyncio_future_blocking(self) -> bool: ...
    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, value: bool) -> None: ...

@final
class HubPort:
    """Passes completed operations from the core to a hub of gevent or eventlet."""

    def __new__(cls, event_loop: Any) -> Self:
        """Create a port, and register it with `event_loop`."""

@final
class Expect(Generic[_T_co]):
    """The form of an endpoint's response."""

    OBJECT: ClassVar[Expect[dict[str, Any]]]
    RECORD: ClassVar[Expect[dict[str, Any]]]
    PAGE: ClassVar[Expect[dict[str, Any]]]
    """Its `results` are a list of `JsonObject`."""
    ARRAY: ClassVar[Expect[list[dict[str, Any]]]]
    TEXT: ClassVar[Expect[str]]
    BYTES: ClassVar[Expect[bytes]]
    STATUS: ClassVar[Expect[int]]
    RESPONSE: ClassVar[Expect[Response]]

    def of(self, response: Response) -> _T_co: ...

@final
class JsonObject:
    """An object in a page, which was checked, and is decoded when it is read."""

    def get(self, name: str) -> Any:
        """Return a field, or None; NotImplemented once the whole object was decoded."""

    def decode(self) -> dict[str, Any]:
        """Return the object as a dict, each time the same one."""

@final
class Core:
    """The core of a client: its configuration and its connections."""

    def __new__(
        cls,
        base_url: str,
        token: str | Callable[[], str | None] | None,
        *,
        user_agent: str,
        headers: _Pairs,
        connect: float | None,
        read: float | None,
        pool: float | None,
        total: float | None,
        idle: float | None,
        max_retries: int,
        max_connections: int | None,
        max_bytes: int,
        public_only: bool,
        write: float | None = None,
        proxy: str | None = None,
        verify: bool = True,
        ssl_cert_file: str | PathLike[str] | None = None,
        cert: tuple[str | PathLike[str], str | PathLike[str]] | None = None,
        share: Core | None = None,
    ) -> Self: ...
    @property
    def base_url(self) -> str: ...
    @property
    def is_closed(self) -> bool: ...
    def close(self) -> None: ...
    def send(
        self,
        method: str,
        target: _Target,
        expect: Expect[_T],
        *,
        query: _Pairs | None = None,
        body: _Body | None = None,
        content_type: str | None = None,
        headers: _Pairs | None = None,
        total: float | None = None,
        read: float | None = None,
        retries: int | None = None,
        signal: AbortSignal | None = None,
        creates: Literal["predictions", "trainings"] | None = None,
        keeps: bool = False,
        last: bool = False,
    ) -> Pending[_T]: ...
    @property
    def unattended(self) -> int: ...
    def download(
        self,
        url: str,
        path: str | PathLike[str],
        *,
        overwrite: bool = True,
        total: float | None = None,
        signal: AbortSignal | None = None,
        counters: DownloadCounters | None = None,
    ) -> Pending[_FileInfo]: ...
    def download_all(
        self,
        files: Sequence[tuple[str, str | PathLike[str]]],
        most: int,
        *,
        overwrite: bool = True,
        total: float | None = None,
        signal: AbortSignal | None = None,
        counters: DownloadCounters | None = None,
    ) -> Pending[list[_FileInfo]]: ...
    @overload
    def events(
        self,
        url: str,
        form: Literal["events"],
        place: StreamPosition,
        *,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> ResponseStream[ServerSentEvent]: ...
    @overload
    def events(
        self,
        url: str,
        form: Literal["text"],
        place: StreamPosition,
        *,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> ResponseStream[str]: ...
    @overload
    def events(
        self,
        url: str,
        form: Literal["frames"],
        place: StreamPosition,
        *,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> ResponseStream[bytes]: ...
    @overload
    def events(
        self,
        url: str,
        form: _Form,
        place: StreamPosition,
        *,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> ResponseStream[Any]: ...
    def pieces(
        self,
        url: str,
        *,
        start: int = 0,
        ahead: bool = True,
        total: float | None = None,
        signal: AbortSignal | None = None,
    ) -> ResponseStream[bytes]: ...
    def recorded(
        self, body: bytes, form: _Form | Literal["bytes"], place: StreamPosition
    ) -> ResponseStream[Any]: ...
    def detach(self, method: str, target: _Target, total: float) -> None: ...
    def shown(self, response: Response) -> tuple[bytes, list[tuple[str, str]]]: ...
    def url(self, target: _Target, query: _Pairs | None = None) -> str: ...
    @staticmethod
    def address(text: str) -> str: ...
    def first(
        self,
        pendings: Sequence[Pending[Any]],
        *,
        limit: float | None = None,
        signal: AbortSignal | None = None,
    ) -> Pending[int | None]: ...
    def sleep(
        self, seconds: float, *, signal: AbortSignal | None = None, closed_too: bool = False
    ) -> Pending[None]: ...
    def turn(
        self,
        id: str,
        *,
        age: float,
        watched: bool,
        list: bool,
        limit: float | None = None,
        signal: AbortSignal | None = None,
    ) -> Pending[None]: ...
    def stats(self) -> tuple[int, int, int, int, int, int]: ...
    def create_rate(self) -> float | None: ...

@final
class StreamPosition:
    """The position in a stream of events, across all of its connections."""

    def __new__(cls) -> Self: ...
    @property
    def count(self) -> int: ...
    @property
    def last_event_id(self) -> str | None: ...
    @property
    def end(self) -> tuple[Literal["done", "error"], str] | None: ...
    def pause(self, failures: int) -> float | None: ...
    def rest_of_output(self, items: Sequence[str]) -> list[str] | None: ...
    def rest_of_logs(self, logs: str) -> str | None: ...

@final
class ResponseStream(Generic[_T_co]):
    """A response that arrives in parts. Dropping or closing it closes its connection."""

    @property
    def is_open(self) -> bool: ...
    @property
    def ended(self) -> Literal["complete", "closed", "silent", "unproven"] | None: ...
    @property
    def said(self) -> _FileInfo | None: ...
    def opened(self) -> Pending[None]: ...
    def next(self) -> Pending[list[_T_co]]: ...
    def whole(self) -> Pending[list[_T_co]]: ...
    def fill(self, target: memoryview, start: int = 0) -> Pending[int]: ...
    def close(self) -> None: ...

@final
class ServerSentEvent(Generic[_M_co]):
    """An event of a stream; ``str()`` returns the text of an output, empty for other events."""

    EventType: ClassVar[type[_EventType]]
    """The class of `event`, where 1.0.7 has it."""
    __match_args__: ClassVar[tuple[str, ...]] = ("event", "data", "id", "retry")

    def __new__(
        cls,
        event: str,
        data: str | FileOutput[_M_co],
        id: str | None = None,
        retry: int | None = None,
    ) -> Self: ...
    @property
    def event(self) -> _EventType:
        """``output``, ``logs``, ``error``, ``done``, or another type that the API sends."""

    @property
    def data(self) -> str | FileOutput[_M_co]:
        """Text; a `FileOutput` for an output of a model that streams files."""

    @property
    def id(self) -> str | None:
        """The last event id of the stream so far."""

    @property
    def retry(self) -> int | None:
        """Milliseconds to wait before reconnecting, if the event has this field."""

    def encode(self) -> bytes:
        """Return the event as it is sent in an event stream."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]: ...
    @classmethod
    def __class_getitem__(cls, _mode: Any) -> type[Self]: ...

@final
class EventDecoder:
    """A parser of event streams (WHATWG HTML, §9.2.6) for bytes of any source."""

    def __new__(cls, *, max_bytes: int = ...) -> Self:
        """Create a decoder.

        Args:
            max_bytes: A larger event raises `EventTooLarge`; 64 MiB by default.

        """

    def feed(self, bytes: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """Parse the next bytes of the stream, and return the events that they complete.

        Args:
            bytes: The next bytes, of any number.

        """

    @property
    def last_event_id(self) -> str | None:
        """The last id of a complete event; None without one."""

    @property
    def retry(self) -> int | None:
        """Milliseconds to wait before reconnecting: the last `retry` field; None without one."""

    def close(self) -> None:
        """End the stream: drop an incomplete event, and refuse further bytes."""

@final
class Response:
    """A response with its whole body: from the API, or created by a program."""

    def __new__(
        cls,
        status: int = 200,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = ...,
        url: str = "",
    ) -> Self: ...
    @property
    def status(self) -> int:
        """The HTTP status."""
    @property
    def url(self) -> str:
        """The URL that the response came from."""
    @property
    def headers(self) -> dict[str, str]:
        """The headers by lower-case name."""
    @property
    def body(self) -> bytes:
        """The body, decompressed."""
    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
    def json(self) -> Any:
        """Parse the body as JSON; raise ValueError if it is not JSON."""

@final
class AbortSignal:
    """Stops the calls that receive it as `signal=`.

    Create one with an `AbortController`, or with `AbortSignal.timeout(seconds)`.
    """

    @staticmethod
    def abort(reason: object = None) -> AbortSignal:
        """Return a signal that is aborted already; `reason` is in the error of a call.

        Args:
            reason: Why, which the error of a call shows; of any type.

        """
    @staticmethod
    def timeout(seconds: _Seconds) -> AbortSignal:
        """Return a signal that aborts `seconds` from now, with a `TimeoutError` as its reason.

        Args:
            seconds: Seconds, or a `timedelta`.

        """
    @property
    def aborted(self) -> bool:
        """Whether `abort()` was called, or the timeout has passed."""
    @property
    def reason(self) -> Any:
        """The argument of `abort()`, or a `TimeoutError` after the timeout; None otherwise."""
    def throw_if_aborted(self) -> None:
        """Raise `AbortError` if it was aborted."""

@final
class AbortController:
    """Aborts the calls that receive its `signal`."""

    def __new__(cls) -> Self: ...
    @property
    def signal(self) -> AbortSignal:
        """The signal to pass to calls."""
    def abort(self, reason: object = None) -> None:
        """Abort the calls that have the signal; `reason` is theirs to show.

        Args:
            reason: Why, which the error of a call shows; of any type.

        """

@final
class Part:
    """A part of a request's body: bytes, or a file that is read from an offset while it is sent."""

    def __new__(
        cls, content: bytes | str | PathLike[str], *, offset: int = 0, at_once: bool = False
    ) -> Self: ...
    def in_base64(self) -> Part: ...
    def named(self, name: str) -> Part: ...
    @property
    def name(self) -> str: ...
    def read_base64(self) -> str: ...
    def __len__(self) -> int: ...

@final
class DownloadCounters:
    """What downloads to disk have achieved; read while they go on."""

    def __new__(cls) -> Self: ...
    @property
    def received(self) -> int: ...
    @property
    def length(self) -> int | None: ...
    @property
    def files(self) -> int: ...

@final
class Upload:
    """A request's body, in parts."""

    def __new__(cls, parts: Sequence[bytes | Part]) -> Self: ...
    @property
    def sent(self) -> int: ...
    def read(self) -> bytes: ...
    def __len__(self) -> int: ...

@disjoint_base
class Verifier:
    """Verifies webhooks with one or more keys, which are overwritten in memory when it is freed."""

    def __new__(
        cls,
        secrets: _Secrets | None,
        tolerance: _Seconds | None = 300,
        *,
        seen: Callable[[str], bool] | None = None,
        now: _Now | None = None,
    ) -> Self: ...
    def verify(self, headers: _Headers, body: _RawBody | None, *, now: _Now | None = None) -> None:
        """Raise unless a webhook is genuine.

        Args:
            headers: The request's headers: a mapping, or pairs.
            body: The raw body.
            now: The current time of this call: seconds since 1970, a `datetime`, or a function.

        """
    def read(
        self, headers: _Headers, body: _RawBody | None, *, now: _Now | None = None
    ) -> dict[str, Any]:
        """Verify a webhook, and return its decoded body.

        Args:
            headers: The request's headers: a mapping, or pairs.
            body: The raw body.
            now: The current time of this call: seconds since 1970, a `datetime`, or a function.

        """
    def verify_many(
        self, webhooks: Iterable[tuple[_Headers, _RawBody]], *, now: _Now | None = None
    ) -> list[WebhookValidationError | None]:
        """Verify webhooks; return None for each genuine one, or its error.

        Other threads run meanwhile.

        Args:
            webhooks: Pairs of headers and body.
            now: The current time of this call: seconds since 1970, a `datetime`, or a function.

        """

def is_plain(value: object) -> bool: ...
def write_json(value: object, *, sort_keys: bool = False) -> bytes | None: ...
def finish_detached(seconds: float) -> None: ...
def set_tracer(
    tracer: Callable[[bool], tuple[object | None, list[tuple[str, str]] | None]] | None,
) -> None: ...
def read_data_uri(uri: str) -> tuple[str, bytes]: ...
def write_file(path: str | PathLike[str], content: bytes, *, overwrite: bool = True) -> int: ...
def retry_after(header: str | None, date: str | None, body: bytes) -> float | None: ...
def sign_webhook(secrets: _Secrets, id: str, timestamp: str, body: _RawBody) -> str: ...
