"""Types in the signatures of all packages: durations, headers, options, references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias, runtime_checkable

from .._core import AbortSignal

if TYPE_CHECKING:
    from typing import TypedDict as TypedDict
else:
    try:
        # Pydantic requires it before Python 3.12.
        from typing_extensions import TypedDict
    except ImportError:
        from typing import TypedDict


class AsItIs:
    """Tells pydantic to pass a value without validation; the called function validates it."""

    def __repr__(self) -> str:
        return "AsItIs"

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.any_schema()


@runtime_checkable
class HasTimeouts(Protocol):
    """A `Timeout` of this library or of httpx, which 1.0.7 and 2.0 accept."""

    @property
    def connect(self) -> float | None:
        """Seconds to open a connection."""
        ...

    @property
    def read(self) -> float | None:
        """Seconds between two parts of a response."""
        ...

    @property
    def write(self) -> float | None:
        """Seconds to send a part of a body."""
        ...

    @property
    def pool(self) -> float | None:
        """Seconds until a connection is free."""
        ...


@runtime_checkable
class HasOwnerAndName(Protocol):
    """A model: an object with the attributes `owner` and `name`."""

    @property
    def owner(self) -> str:
        """The user or organization that owns the model."""
        ...

    @property
    def name(self) -> str:
        """The model's name."""
        ...


@runtime_checkable
class HasId(Protocol):
    """An object that has an id, such as a version or a prediction."""

    @property
    def id(self) -> str:
        """The id; a version's has 64 hexadecimal digits."""
        ...


@runtime_checkable
class Named(Protocol):
    """An object that names a model, which 2.0 accepts."""

    @property
    def name(self) -> str:
        """``owner/name`` or ``owner/name:version``."""
        ...


@runtime_checkable
class SecretText(Protocol):
    """Text that `repr` does not show, such as pydantic's `SecretStr`."""

    def get_secret_value(self) -> str:
        """Return the text."""
        ...


Seconds: TypeAlias = float | timedelta
"""A duration: seconds as a number, or a `timedelta`."""
Limit: TypeAlias = Seconds | HasTimeouts
"""The maximum duration of a call: seconds, a `timedelta`, or the `total` of a `Timeout`; without
one, its longest part."""
Query: TypeAlias = Mapping[str, object]
"""Parameters of a query by name; None is left out, lists are joined by commas."""
Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
"""Headers of a request. A sequence of pairs may contain several values of one name."""
OnReceived: TypeAlias = Annotated[Callable[[int, int | None], object], AsItIs()]
"""A function of the bytes received and the length of a file in bytes, None while it is unknown."""


class Options(TypedDict, total=False):
    """Options that every operation accepts."""

    signal: AbortSignal | None
    """Stops the request."""
    timeout: Limit | None
    """Seconds for the whole call, retries included, or a `timedelta`; of a `Timeout`, its `total`
    or its longest part.
    """
    extra_headers: Headers | None
    """Headers of this request; they replace the client's of the same name."""
    extra_query: Query | None
    """Parameters added to the query."""
    extra_body: Mapping[str, object] | None
    """Fields added to the JSON body."""


Choice: TypeAlias = AbstractSet[int] | AbstractSet[str] | Mapping[int, Any] | Mapping[str, Any]
"""The fields of a record, or the positions of a list, to include or exclude. A mapping selects
parts of their values."""
Ref: TypeAlias = str | HasOwnerAndName
"""``owner/name``, ``owner/name:version``, a version's id, or an object with an owner and a name,
such as a `Model` or a `ModelVersionIdentifier`."""
Usable: TypeAlias = Ref | Named
"""What `use` makes a function of: a reference, or an object that names a model."""
Visibility = Literal["public", "private"]
"""Who sees a model."""


ModelOptions = Options
"""`Options`, by the name of earlier releases."""
DeploymentOptions = Options
"""`Options`, by the name of earlier releases."""

FileEncodingStrategy: TypeAlias = Literal["default", "upload", "url", "data-uri", "base64"]
"""How files in a model's inputs are sent: ``default`` uploads them, or sends them inline if the
server fails to take the upload; ``upload`` (or ``url``) always uploads; ``data-uri`` (or
``base64``) always sends them inline."""
