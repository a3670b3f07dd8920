"""Types that signatures of every package name: durations, headers, options, references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from .._core import AbortSignal

if TYPE_CHECKING:
    from typing import TypedDict as TypedDict
else:
    try:
        # Before Python 3.12 pydantic takes no other.
        from typing_extensions import TypedDict
    except ImportError:
        from typing import TypedDict


class AsItIs:
    """Tells pydantic to pass a value on, which has no JSON: what takes it checks it."""

    def __repr__(self) -> str:
        return "AsItIs"

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.any_schema()


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
class SecretText(Protocol):
    """Text that is not shown, such as `SecretStr` of pydantic."""

    def get_secret_value(self) -> str:
        """Return the text."""
        ...


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
    """Seconds for the whole call, retries included, or a `timedelta`; of a `Timeout`, its `total`
    or its longest part.
    """
    extra_headers: Headers | None
    """Headers of this request; they replace the client's of the same name."""
    extra_query: Query | None
    """Parameters added to the query."""
    extra_body: Mapping[str, object] | None
    """Fields added to the JSON body."""


# What to take of a record: names, or names and what to take of each; positions in lists.
Choice: TypeAlias = AbstractSet[int] | AbstractSet[str] | Mapping[int, Any] | Mapping[str, Any]
# A `ModelVersionIdentifier` has an owner and a name, too.
Ref: TypeAlias = str | HasOwnerAndName
Usable: TypeAlias = Ref | Named
Visibility = Literal["public", "private"]


# Names of earlier releases. Operations on models and deployments take the same options as others.
ModelOptions = Options
DeploymentOptions = Options

# How files among a model's inputs are sent.
FileEncodingStrategy: TypeAlias = Literal["default", "upload", "url", "data-uri", "base64"]
