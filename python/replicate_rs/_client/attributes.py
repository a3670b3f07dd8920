"""A client's options as its attributes; copies and pickles of clients."""

from __future__ import annotations

from .._base.checks import is_async_function
from .._base.credentials import find_token, reveal, strip_frames
from .._base.resource import M, Namespace
from .._base.session import Session
from .._base.typing import TYPE_CHECKING, Generic, TypeVar, cast, defer_annotations, overload
from .config import Config
from .options import ATTRIBUTE_ALIASES, DEFAULTS, normalize, resolve_aliases

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import Any, ClassVar, Self, Unpack

    from .._base.session import Async, Sync
    from .._base.types import FileEncodingStrategy, Headers, Limit, Seconds
    from .types import Certificate, ClientOptions, Fetch, Token

# Seconds between polls at first, if the interval is adaptive.
FIRST_INTERVAL = 0.25
# The attributes that are options, and the canonical name of each.
OPTIONS: dict[str, str] = {**{name: name for name in DEFAULTS}, **ATTRIBUTE_ALIASES}


T = TypeVar("T")


class option(Generic[T]):  # noqa: N801 - used like a field
    """An option as an attribute of a client."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name

    @overload
    def __get__(self, client: None, owner: object) -> Self: ...
    @overload
    def __get__(self, client: Configurable[Any], owner: object) -> T: ...
    def __get__(self, client: Configurable[Any] | None, owner: object) -> Any:
        return self if client is None else client._get_option(self.name)

    def __set__(self, client: Configurable[Any], value: T) -> None:
        client.__setattr__(self.name, value)


class token_option(option["Token | None"]):  # noqa: N801 - as above
    """The token as an attribute: text, as in 2.0.

    A function is called, unless it is async.
    """

    def __get__(self, client: Configurable[Any] | None, owner: object) -> Any:
        token: Any = super().__get__(client, owner) if client is not None else self
        return (
            token()
            if callable(token) and token is not self and not is_async_function(token)
            else token
        )


class Configurable(Namespace[M]):
    """A client's options as its attributes; an assignment takes effect with the next request."""

    __slots__ = ("__weakref__", "_initial_options")

    mode: ClassVar[type[Sync | Async]]
    # The options of the constructor. Those assigned later are in `__dict__`, the latest last.
    _initial_options: dict[str, Any]

    # Assignments to the following go through `__setattr__`.

    api_token: option[Token | None] = option("api_token")
    auth: option[Token | None] = option("api_token")
    _api_token: option[Token | None] = option("api_token")
    bearer_token: token_option = token_option("api_token")
    timeout: option[Limit | None] = option("timeout")
    _timeout: option[Limit | None] = option("timeout")
    headers: option[Headers | None] = option("headers")
    default_headers: option[Headers | None] = option("headers")
    max_retries: option[int] = option("max_retries")
    max_connections: option[int | None] = option("max_connections")
    max_response_bytes: option[int] = option("max_response_bytes")
    user_agent: option[str | None] = option("user_agent")
    file_encoding_strategy: option[FileEncodingStrategy] = option("file_encoding_strategy")
    use_file_output: option[bool] = option("use_file_output")
    block_private_addresses: option[bool] = option("block_private_addresses")
    proxy: option[str | None] = option("proxy")
    verify: option[bool | str | PathLike[str]] = option("verify")
    ssl_cert_file: option[str | PathLike[str] | None] = option("ssl_cert_file")
    cert: option[Certificate | None] = option("cert")
    fetch: option[Fetch | None] = option("fetch")

    @property
    def _config(self) -> Config:
        return cast("Config", self._session.config)

    @property
    def base_url(self) -> str:
        """The API's URL, which ends in its version."""
        return self._core.base_url

    @base_url.setter
    def base_url(self, url: str | None) -> None: ...

    _base_url = base_url

    @property
    def poll_interval(self) -> float:
        """Seconds between polls; the first interval if it is adaptive."""
        interval = self._session.poll_interval
        return FIRST_INTERVAL if interval is None else interval

    @poll_interval.setter
    def poll_interval(self, seconds: Seconds | None) -> None: ...

    def _set_up(self, options: dict[str, Any], share: Config | None = None) -> None:
        """Initialize the client with options as `normalize` returns them."""
        session = Session(Config(self.mode, options, share), self.mode)
        self._initial_options = options
        self._namespaces = {}
        super().__init__(session, self.mode)

    def with_options(self, **changes: Unpack[ClientOptions]) -> Self:
        """Return a client with some options changed.

        It shares the connections of this client, unless the changes concern connections. Closing
        one does not close the other.

        Args:
            changes: The options to change; see the constructor.

        Raises:
            TypeError: An option does not exist, or has the wrong type.
            ValueError: An option has an invalid value.

        """
        try:
            options = {**self._config.options, **resolve_aliases(changes)}
            return self._clone(normalize(self.mode, options))
        except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
            # Error reports show local variables, and these may be secrets.
            changes = {}
            options = {}
            raise strip_frames(error) from error.__cause__

    copy = with_options

    def _clone(self, options: dict[str, Any]) -> Self:
        """Return a client of this class with other options and the same extra attributes."""
        twin = type(self).__new__(type(self))
        twin._set_up(options, self._config)
        vars(twin).update(self._get_extras())
        return twin

    def _get_extras(self) -> dict[str, Any]:
        """Return attributes that are not options: those of a subclass, and replaced methods."""
        return {name: value for name, value in vars(self).items() if name not in OPTIONS}

    def _get_own_extras(self) -> dict[str, Any]:
        """Return the attributes of a subclass, without replaced methods."""
        extras = self._get_extras().items()
        return {name: value for name, value in extras if not hasattr(type(self), name)}

    def _set_option(self, name: str, value: object) -> None:
        """Set an option for the next request on."""
        normalized = normalize(self.mode, {OPTIONS[name]: value})[OPTIONS[name]]
        self._apply({**self._get_assigned(without=name), name: normalized})
        vars(self).pop(name, None)
        vars(self)[name] = normalized

    def _get_option(self, name: str) -> Any:
        """Return the current value of an option."""
        value: Any = reveal(self._config.options[name])
        if name == "headers":
            headers: dict[str, str] = dict(value or ())
            return headers
        return find_token() if name == "api_token" and value is None else value

    def _get_assigned(self, *, without: str = "") -> dict[str, Any]:
        return {
            name: value for name, value in vars(self).items() if name in OPTIONS and name != without
        }

    def _apply(self, assigned: Mapping[str, Any]) -> None:
        changes = {OPTIONS[name]: value for name, value in assigned.items()}
        self._config.set_options({**self._initial_options, **changes})

    def _set_initial_options(self, options: Mapping[str, Any]) -> None:
        """Replace the constructor's options; those that were assigned later still override them."""
        normalized = normalize(self.mode, options)
        before, self._initial_options = self._initial_options, normalized
        try:
            self._apply(self._get_assigned())
        except (TypeError, ValueError):
            self._initial_options = before
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OPTIONS:
            try:
                self._set_option(name, value)
            except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
                # Error reports show local variables, and this may be a secret.
                value = None
                raise strip_frames(error) from error.__cause__
        elif isinstance(getattr(type(self), name, None), property):
            if isinstance(getattr(self, name), Namespace):
                # A test replaces a namespace.
                self._namespaces[name, self._mode] = value
            else:
                raise AttributeError(f"{name} of a {type(self).__name__} cannot be assigned")
        elif (
            hasattr(type(self), name)
            or type(self).__module__.partition(".")[0] != __name__.partition(".")[0]
        ):
            super().__setattr__(name, value)
            new = vars(self).pop(name, None)
            original = getattr(self, name, None)
            # A test that restores a method leaves nothing behind. Types are compared too, because
            # wrappers of tracers compare equal to what they wrap.
            if new is not None and (type(new) is not type(original) or new != original):
                vars(self)[name] = new
        else:
            value = None
            raise AttributeError(describe_unknown_option(f"a {type(self).__name__}", name))

    def __delattr__(self, name: str) -> None:
        if name in OPTIONS:
            if name not in vars(self):
                raise AttributeError(f"{name} was not assigned")
            self._apply(self._get_assigned(without=name))
            del vars(self)[name]
        elif isinstance(getattr(type(self), name, None), property):
            self._namespaces.pop((name, self._mode), None)
        else:
            super().__delattr__(name)

    def __copy__(self) -> Self:
        twin = self._clone(self._config.options)
        _copy_replacements(self, twin)
        return twin

    def __deepcopy__(self, known: Any) -> Self:
        from copy import deepcopy

        twin = self.__copy__()
        known[id(self)] = twin
        vars(twin).update(
            (name, deepcopy(value, known)) for name, value in self._get_own_extras().items()
        )
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        options = self._config.get_picklable_options(with_functions=True)
        return _restored, (type(self), self._mode, options, self._get_own_extras())


def _restored(
    kind: type[Configurable[Any]],
    mode: type[Sync | Async],
    options: dict[str, Any],
    extras: dict[str, Any],
) -> Configurable[Any]:
    """Return a client that was pickled."""
    client = kind.__new__(kind)
    client._set_up(normalize(kind.mode, options))
    vars(client).update(extras)
    return client if mode is kind.mode else client._in(mode)


def _copy_replacements(source: Any, target: Any) -> None:
    """Copy what has been replaced in a client's namespaces to those of its copy."""
    from .._base.replacements import is_namespace

    for (name, mode), namespace in getattr(source, "_namespaces", {}).items():
        twin: Any = namespace
        if is_namespace(namespace):
            twin = type(namespace)(target._session, mode)
            twin.__dict__.update(namespace.__dict__)
            _copy_replacements(namespace, twin)
        if not hasattr(target, "_namespaces"):
            namespaces: dict[Any, Any] = {}
            target._namespaces = namespaces
        target._namespaces[name, mode] = twin


def describe_unknown_option(owner: str, name: str) -> str:
    """Return the error message for an attribute that is not an option."""
    from difflib import get_close_matches

    public = sorted(each for each in OPTIONS if not each.startswith("_"))
    near = get_close_matches(name, public, 1)
    hint = f"; is it {near[0]}?" if near else f": its options are {', '.join(public)}"
    return f"{owner} has no attribute {name!r} that could be assigned{hint}"


defer_annotations(globals())
