"""The types that the signatures of this package name: aliases, protocols, and dictionaries of
options.

The other modules import them for type checkers only. At run time this module is loaded when a
program imports it, or reads the annotations of a function or a class, as `typing.get_type_hints`,
`inspect.signature`, pydantic and documentation tools do.
"""

from __future__ import annotations

import collections.abc
import datetime
import io
import os
import pathlib
import sys
import types
import typing
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from importlib import import_module
from os import PathLike
from typing import (
    IO,
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

from ._base.operation import Namespace
from ._client.middleware import Request
from ._core import AbortSignal, Response
from ._files.output import FileOutput
from .identifier import ModelVersionIdentifier
from .prediction import Prediction

if TYPE_CHECKING:
    from typing import TypedDict
else:
    try:
        # Before Python 3.12 pydantic takes no other.
        from typing_extensions import TypedDict
    except ImportError:
        from typing import TypedDict

__all__ = [
    "AsyncReadable",
    "AsyncSend",
    "Certificate",
    "Choice",
    "ClientOptions",
    "CreateOptions",
    "DeploymentOptions",
    "Fetch",
    "FileEncodingStrategy",
    "FileLike",
    "FileNames",
    "HasHeaders",
    "HasId",
    "HasKey",
    "HasOwnerAndName",
    "HasTimeouts",
    "Headers",
    "Image",
    "Limit",
    "ModelOptions",
    "Moment",
    "Named",
    "NamedFile",
    "Now",
    "OnProgress",
    "OnSent",
    "Options",
    "PredictionOptions",
    "Query",
    "Readable",
    "ReadsBytes",
    "Ref",
    "Seconds",
    "Secret",
    "SecretText",
    "Secrets",
    "Send",
    "Status",
    "Token",
    "TrainingOptions",
    "Usable",
    "Visibility",
    "Wait",
    "WaitOptions",
    "WebhookBody",
    "WebhookEvent",
    "WebhookHeaders",
    "WebhookRequest",
]


class _AsItIs:
    """Tells pydantic to pass a value on, which has no JSON: what takes it checks it."""

    def __repr__(self) -> str:
        return "AsItIs"

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.any_schema()


# Objects that are taken for what they have.


@runtime_checkable
class HasTimeouts(Protocol):
    """A `Timeout`, or one of httpx, as 1.0.7 and 2.0 take."""

    @property
    def connect(self) -> float | None:
        """To open a connection."""
        ...

    @property
    def read(self) -> float | None:
        """Between two parts of an answer."""
        ...

    @property
    def write(self) -> float | None:
        """For the connection to take a piece of a body."""
        ...

    @property
    def pool(self) -> float | None:
        """For a connection to become free."""
        ...


@runtime_checkable
class HasOwnerAndName(Protocol):
    """A model, as this library, or anyone, describes it."""

    @property
    def owner(self) -> str:
        """The user or organization."""
        ...

    @property
    def name(self) -> str:
        """The model's name."""
        ...


@runtime_checkable
class HasId(Protocol):
    """A version, as this library, or anyone, describes it."""

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        ...


@runtime_checkable
class Named(Protocol):
    """An object that names a model, as 2.0 takes."""

    @property
    def name(self) -> str:
        """``owner/name`` or ``owner/name:version``."""
        ...


@runtime_checkable
class HasKey(Protocol):
    """The account's signing secret, of this library or of 1.0.7."""

    @property
    def key(self) -> str:
        """``whsec_`` and base64."""
        ...


@runtime_checkable
class SecretText(Protocol):
    """Text that is not shown, such as `SecretStr` of pydantic."""

    def get_secret_value(self) -> str:
        """Return the text."""
        ...


@runtime_checkable
class HasHeaders(Protocol):
    """A request of Starlette, FastAPI, Django, Flask, aiohttp, Litestar, httpx, requests, or of one
    that looks like them.
    """

    @property
    def headers(self) -> Any:  # Each has a class of its own for them.
        """Its headers."""
        ...


@runtime_checkable
class Readable(Protocol):
    """Anything with a `read` that gives bytes or text."""

    def read(self) -> bytes | str:
        """Return the rest."""
        ...


@runtime_checkable
class ReadsBytes(Protocol):
    """A path that is read through Python, as those of `zipfile` and of `importlib.resources` are."""

    def read_bytes(self) -> bytes:
        """Return its content."""
        ...


@runtime_checkable
class AsyncReadable(Protocol):
    """Anything with an async `read` that gives bytes."""

    async def read(self, size: int, /) -> bytes:
        """Return so many bytes, or fewer; none at the end."""
        ...


@runtime_checkable
class Image(Protocol):
    """An image of PIL."""

    @property
    def mode(self) -> str:
        """How its pixels are stored."""
        ...

    def save(self, fp: IO[bytes], format: str, /) -> object:
        """Write it."""
        ...


# Time, and what belongs to any request.

Seconds: TypeAlias = float | timedelta
# What limits a call: seconds for all of it. Of a `Timeout`, its `total` does, or else its longest
# part.
Limit: TypeAlias = Seconds | HasTimeouts
Query: TypeAlias = Mapping[str, object]
# Pairs may have several values of one name.
Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]


class Options(TypedDict, total=False):
    """What every operation takes besides its own arguments."""

    signal: AbortSignal | None
    """Stops the request."""
    timeout: Limit | None
    """Seconds for all of the call, retries included, or a `timedelta`; of a `Timeout`, its `total`
    or its longest part.
    """
    extra_headers: Headers | None
    """Sent with this request, over the client's own."""
    extra_query: Query | None
    """Added to the query."""
    extra_body: Mapping[str, object] | None
    """Added to the JSON body."""


# What to take of a record: names, or names and what to take of each; positions in lists.
Choice: TypeAlias = AbstractSet[int] | AbstractSet[str] | Mapping[int, Any] | Mapping[str, Any]

# Models and versions.

Ref: TypeAlias = str | ModelVersionIdentifier | HasOwnerAndName
Usable: TypeAlias = Ref | Named
Visibility = Literal["public", "private"]


class ModelOptions(Options, total=False):
    """What operations on a model take; the two names are 2.0's."""

    model_owner: str | None
    """The owner of the model, as in 2.0."""
    model_name: str | None
    """The name of the model, as in 2.0."""


class DeploymentOptions(Options, total=False):
    """What operations on a deployment take; the two names are 2.0's."""

    deployment_owner: str | None
    """The owner of the deployment, as in 2.0."""
    deployment_name: str | None
    """The name of the deployment, as in 2.0."""


# Files.

FileEncodingStrategy = Literal["default", "upload", "url", "data-uri", "base64"]
FileLike: TypeAlias = Annotated[
    str
    | PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | IO[str]
    | Readable
    | ReadsBytes
    | AsyncReadable
    | AsyncIterable[bytes]
    | Image,
    _AsItIs(),
]
NamedFile: TypeAlias = tuple[str | None, FileLike] | tuple[str | None, FileLike, str | None]
# Of files that are saved: a name for each, or a function of its index and the file.
FileNames: TypeAlias = Sequence[str] | Annotated[Callable[[int, FileOutput[Any]], str], _AsItIs()]
OnSent: TypeAlias = Annotated[Callable[[int, int], object], _AsItIs()]

# Predictions and trainings.

Status: TypeAlias = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
WebhookEvent: TypeAlias = Literal["start", "output", "logs", "completed"]
# Whichever client's: a function that takes a `Prediction` will do.
OnProgress: TypeAlias = Annotated[
    Callable[[Prediction[Any]], Awaitable[object] | object], _AsItIs()
]


class TrainingOptions(Options, total=False):
    """What `trainings.create` takes."""

    webhook: str | None
    """An https URL to be told of changes."""
    webhook_events_filter: Sequence[WebhookEvent] | None
    """Which changes: a list of ``start``, ``output``, ``logs`` and ``completed``."""
    webhook_completed: str | None
    """The same for the end only; older than `webhook`."""
    file_encoding_strategy: FileEncodingStrategy | None
    """How files are sent; the client's if not given."""
    upload_progress: OnSent | None
    """Called with the bytes of files that were sent, and those of all uploads that have begun, a
    few times a second.
    """


class CreateOptions(TrainingOptions, total=False):
    """What `run` takes too."""

    cancel_after: str | Seconds | None
    """Seconds, or a duration as ``1h30m``, after which the API cancels the prediction."""
    stream: bool | None
    """Older than streams that every prediction has; sent if given."""


class PredictionOptions(CreateOptions, total=False):
    """What `predictions.create` and `stream` take."""

    wait: bool | Seconds | None
    """Seconds to hold the request open until there is output (True: 60, the most)."""
    prefer: str | None
    """The same as a header value, ``wait`` or ``wait=5``."""


class WaitOptions(TypedDict, total=False):
    """How `run` waits."""

    mode: Literal["block", "poll"]
    """Hold the first request open, or poll from the start."""
    interval: Seconds
    """Seconds between polls."""
    timeout: Seconds
    """Seconds to hold the first request open; 3 at most, and if not given."""


Wait: TypeAlias = bool | Seconds | WaitOptions

# Clients.

# A function may be async on an `AsyncReplicate`.
Token: TypeAlias = (
    str
    | SecretText
    | Callable[[], str | SecretText | None]
    | Callable[[], Awaitable[str | SecretText | None]]
)
# A PEM file with a certificate and its key, or one of each.
Certificate: TypeAlias = str | PathLike[str] | tuple[str | PathLike[str], str | PathLike[str]]
Send: TypeAlias = Callable[[Request], Response]
AsyncSend: TypeAlias = Callable[[Request], Awaitable[Response]]
Fetch: TypeAlias = (
    Callable[[Request, Send], Response] | Callable[[Request, AsyncSend], Awaitable[Response]]
)


class ClientOptions(TypedDict, total=False):
    """What a client is made with; its constructor says what each is."""

    api_token: Token | None
    auth: Token | None
    bearer_token: Token | None
    base_url: str | None
    timeout: Limit | None
    max_retries: int
    max_connections: int | None
    max_response_bytes: int
    headers: Headers | None
    default_headers: Headers | None
    user_agent: str | None
    poll_interval: Seconds | None
    file_encoding_strategy: FileEncodingStrategy
    use_file_output: bool
    block_private_addresses: bool
    proxy: str | None
    verify: bool | str | PathLike[str]
    ssl_cert_file: str | PathLike[str] | None
    cert: Certificate | None
    fetch: Fetch | None


# Webhooks.

Secret: TypeAlias = str | HasKey
# Several while keys are rotated.
Secrets: TypeAlias = Secret | Iterable[Secret]
# Seconds since 1970, or a time with its zone.
Moment: TypeAlias = float | datetime.datetime
Now: TypeAlias = Moment | Callable[[], Moment]
_Text: TypeAlias = str | bytes
# A request, a WSGI environ or an ASGI scope.
WebhookRequest: TypeAlias = HasHeaders | Mapping[str, Any]
WebhookHeaders: TypeAlias = (
    Mapping[str, str] | Mapping[str, _Text] | Mapping[bytes, bytes] | Iterable[tuple[_Text, _Text]]
)
WebhookBody: TypeAlias = Annotated[bytes | bytearray | memoryview | str, _AsItIs()]

# For those who read annotations. What only annotations of the package itself name is here too.

E = TypeVar("E", bound=BaseException)
M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")
JSONObject: TypeAlias = dict[str, Any]
# What only type checkers know more of.
_INTERNAL: dict[str, Any] = {
    "Form": str,
    "Pending": Awaitable,
    "Said": tuple,
    "Streamed": AsyncIterable,
    "Transport": Any,
}
# Where a module calls a type by a shorter name.
_OF_WEBHOOKS = {
    **_INTERNAL,
    "Body": WebhookBody,
    "Headers": WebhookHeaders,
    "Request": WebhookRequest,
}
_LOCAL_NAMES: dict[str, dict[str, Any]] = dict.fromkeys(
    ("webhook", "_webhooks.requests", "_webhooks.verifier"), _OF_WEBHOOKS
)
# Where the classes are that annotations name.
_LIBRARIES = (collections.abc, typing, types, datetime, io, os, pathlib)
_HOMES = (
    *(
        "account",
        "client",
        "collection",
        "_predictions.polling",
        "deployment",
        "exceptions",
        "file",
        "_files.upload",
        "_files.output",
        "_files.sources",
    ),
    *(
        "hardware",
        "_files.encode",
        "_predictions.job",
        "_client.middleware",
        "_client.deferred",
        "model",
        "_client.stats",
        "_client.timeout",
        "_predictions.output_iterator",
        "pagination",
        "prediction",
        "_predictions.progress",
    ),
    *(
        "_predictions.relay",
        "run",
        "_client.search",
        "stream",
        "training",
        "use",
        "version",
        "_predictions.events",
        "webhook",
        "_webhooks.verifier",
    ),
    *("_client.configurable", "_files.reader", "_files.open_file", "_client.settings"),
    *(
        "_core",
        "_base.model_api",
        "_base.operation",
        "_base.record",
        "_base.streaming",
        "_base.transport",
    ),
)


class _Names(dict[str, Any]):
    """What the names in a module's annotations stand for."""

    def __init__(self, module: str, owner: type | None) -> None:
        super().__init__(_LOCAL_NAMES.get(module.partition(".")[2], _INTERNAL))
        if owner is not None:
            self["Self"] = owner
        self._module = vars(sys.modules[module])

    def __missing__(self, name: str) -> Any:
        for names in (globals(), self._module, *map(vars, _LIBRARIES)):
            if name in names and not isinstance(names[name], types.ModuleType):
                return names[name]
        for home in _HOMES:
            found = vars(import_module(f".{home}", __package__)).get(name)
            if isinstance(found, type):
                return found
        raise KeyError(name)


def evaluated(annotation: object, module: str, owner: type | None) -> Any:
    """Return the type that an annotation of one of the package's modules, and perhaps of a class in
    it, means.
    """
    if not isinstance(annotation, str):
        return annotation
    return eval(annotation, {}, _Names(module, owner))  # noqa: S307 - the package's own annotations


def _describe_to_pydantic(kind: Any, check: Callable[[object], bool], wanted: str) -> None:
    """Let pydantic take values for which `check` is true."""

    def checked(value: object) -> object:
        if not check(value):
            raise ValueError(f"must {wanted}")
        return value

    def schema(_source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(checked)

    kind.__get_pydantic_core_schema__ = schema
    kind.__get_pydantic_json_schema__ = _any_json


def _describe_protocol(kind: Any) -> None:
    members: list[str] = [name for name in dir(kind) if name[0] != "_"]
    _describe_to_pydantic(
        kind,
        lambda value: all(hasattr(value, name) for name in members),
        f"have {' and '.join(members)}",
    )
    kind.__get_pydantic_json_schema__ = _omitted


def _any_json(_schema: object, _handler: object) -> dict[str, Any]:
    return {}


def _omitted(_schema: object, _handler: object) -> NoReturn:
    # Of several types that a parameter may have, JSON has the others.
    from pydantic_core import PydanticOmit

    raise PydanticOmit


for _kind in (
    HasTimeouts,
    HasOwnerAndName,
    HasId,
    Named,
    HasKey,
    SecretText,
    HasHeaders,
    Readable,
    ReadsBytes,
    AsyncReadable,
    Image,
):
    _describe_protocol(_kind)
_describe_to_pydantic(Namespace, lambda value: isinstance(value, Namespace), "be a client")
_describe_to_pydantic(
    AbortSignal, lambda value: isinstance(value, AbortSignal), "be an AbortSignal"
)
_describe_to_pydantic(Response, lambda value: isinstance(value, Response), "be a Response")
