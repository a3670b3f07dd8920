"""How a client keeps its options: assigned while it lives, changed for another client, copied and
pickled.
"""

from __future__ import annotations

from .._base.checks import is_async_function
from .._base.credentials import find_token, reveal, strip_frames
from .._base.operation import M, Namespace
from .._base.session import Session
from .._base.typing import TYPE_CHECKING, Generic, TypeVar, cast, defer_annotations, overload
from .options import ATTRIBUTE_ALIASES, DEFAULTS, normalize, resolve_aliases
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import Any, ClassVar, Self, Unpack

    from .._base.operation import Async, Sync
    from .._base.types import FileEncodingStrategy, Headers, Limit, Seconds
    from .types import Certificate, ClientOptions, Fetch, Token

# Seconds: the core's first interval between polls.
FIRST_INTERVAL = 0.25
# Attributes that are options, and which.
OPTIONS: dict[str, str] = {**{name: name for name in DEFAULTS}, **ATTRIBUTE_ALIASES}


T = TypeVar("T")


class setting(Generic[T]):  # noqa: N801 - reads as a field
    """An option as an attribute of a client."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name

    @overload
    def __get__(self, client: None, owner: object) -> Self: ...
    @overload
    def __get__(self, client: Configurable[Any], owner: object) -> T: ...
    def __get__(self, client: Configurable[Any] | None, owner: object) -> Any:
        return self if client is None else client._read(self.name)

    def __set__(self, client: Configurable[Any], value: T) -> None:
        client.__setattr__(self.name, value)


class token_setting(setting["Token | None"]):  # noqa: N801 - as above
    """The token as text, as 2.0 has it: what a function returns now; one that has to be awaited is
    returned as it is.
    """

    def __get__(self, client: Configurable[Any] | None, owner: object) -> Any:
        token: Any = super().__get__(client, owner) if client is not None else self
        return (
            token()
            if callable(token) and token is not self and not is_async_function(token)
            else token
        )


class Configurable(Namespace[M]):
    """A client's options as its attributes: one that is assigned counts from the next request on."""

    __slots__ = ("__weakref__", "_made_with")

    # Of those below, whatever is assigned goes through `__setattr__`.
    mode: ClassVar[type[Sync | Async]]
    # What the client was made with; what was assigned since is in its `__dict__`, the latest last.
    _made_with: dict[str, Any]

    api_token: setting[Token | None] = setting("api_token")
    auth: setting[Token | None] = setting("api_token")
    _api_token: setting[Token | None] = setting("api_token")
    bearer_token: token_setting = token_setting("api_token")
    timeout: setting[Limit | None] = setting("timeout")
    _timeout: setting[Limit | None] = setting("timeout")
    headers: setting[Headers | None] = setting("headers")
    default_headers: setting[Headers | None] = setting("headers")
    max_retries: setting[int] = setting("max_retries")
    max_connections: setting[int | None] = setting("max_connections")
    max_response_bytes: setting[int] = setting("max_response_bytes")
    user_agent: setting[str | None] = setting("user_agent")
    file_encoding_strategy: setting[FileEncodingStrategy] = setting("file_encoding_strategy")
    use_file_output: setting[bool] = setting("use_file_output")
    block_private_addresses: setting[bool] = setting("block_private_addresses")
    proxy: setting[str | None] = setting("proxy")
    verify: setting[bool | str | PathLike[str]] = setting("verify")
    ssl_cert_file: setting[str | PathLike[str] | None] = setting("ssl_cert_file")
    cert: setting[Certificate | None] = setting("cert")
    fetch: setting[Fetch | None] = setting("fetch")

    @property
    def _settings(self) -> Settings:
        return cast("Settings", self._session.settings)

    @property
    def base_url(self) -> str:
        """The API's address, which ends in its version."""
        return self._core.base_url

    @base_url.setter
    def base_url(self, address: str | None) -> None: ...

    _base_url = base_url

    @property
    def poll_interval(self) -> float:
        """Seconds between polls; where the client finds its own, the first of them."""
        interval = self._session.poll_interval
        return FIRST_INTERVAL if interval is None else interval

    @poll_interval.setter
    def poll_interval(self, seconds: Seconds | None) -> None: ...

    def _set_up(self, options: dict[str, Any], share: Settings | None = None) -> None:
        """Set the client up with options as `normalize` returns them."""
        session = Session(Settings(self.mode, options, share), self.mode)
        self._made_with = options
        self._namespaces = {}
        super().__init__(session, self.mode)

    @property
    def _options(self) -> dict[str, Any]:
        return self._settings.options

    def with_options(self, **changes: Unpack[ClientOptions]) -> Self:
        """Return a client with the options of this one, but for some.

        It has the same connections, unless the changes say how servers are reached. Both have to be
        closed, or neither.
        """
        try:
            return self._twin(normalize(self.mode, {**self._options, **resolve_aliases(changes)}))
        except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
            # Reports of errors show the locals of frames.
            changes = {}
            raise strip_frames(error) from error.__cause__

    copy = with_options

    def _twin(self, options: dict[str, Any]) -> Self:
        """Return a client of this class with other options, and with what else this one was given."""
        twin = type(self).__new__(type(self))
        twin._set_up(options, self._settings)
        vars(twin).update(self._own())
        return twin

    def _own(self) -> dict[str, Any]:
        """Return attributes that are not options: those of a subclass, and methods that a test has
        replaced.
        """
        return {name: value for name, value in vars(self).items() if name not in OPTIONS}

    def _assign(self, name: str, value: object) -> None:
        """Take over an option from the next request on."""
        given = normalize(self.mode, {OPTIONS[name]: value})[OPTIONS[name]]
        self._change({**self._assigned(but=name), name: given})
        vars(self).pop(name, None)
        vars(self)[name] = given

    def _read(self, name: str) -> Any:
        """Return an option as it is now."""
        value: Any = reveal(self._options[name])
        if name == "headers":
            headers: dict[str, str] = dict(value or ())
            return headers
        return find_token() if name == "api_token" and value is None else value

    def _assigned(self, *, but: str) -> dict[str, Any]:
        return {
            name: value for name, value in vars(self).items() if name in OPTIONS and name != but
        }

    def _change(self, assigned: Mapping[str, Any]) -> None:
        options = {**self._made_with, **{OPTIONS[name]: value for name, value in assigned.items()}}
        self._settings.change(options)

    def _remake(self, options: Mapping[str, Any]) -> None:
        """Be as if the client had been made with other options; what was assigned to it stays."""
        made_with = normalize(self.mode, options)
        before, self._made_with = self._made_with, made_with
        try:
            self._change(self._assigned(but=""))
        except (TypeError, ValueError):
            self._made_with = before
            raise

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OPTIONS:
            try:
                self._assign(name, value)
            except Exception as error:  # noqa: BLE001 - whatever a caller's object raises
                # Reports of errors show the locals of frames.
                value = None
                raise strip_frames(error) from error.__cause__
        elif isinstance(getattr(type(self), name, None), property):
            if isinstance(getattr(self, name), Namespace):
                # In the place of a namespace, as tests do.
                self._namespaces[name, self._mode] = value
            else:
                raise AttributeError(f"{name} of a {type(self).__name__} cannot be assigned")
        elif (
            hasattr(type(self), name)
            or type(self).__module__.partition(".")[0] != __name__.partition(".")[0]
        ):
            super().__setattr__(name, value)
            own = vars(self).pop(name, None)
            former = getattr(self, name, None)
            # The wrappers of tracers say that they are equal to what they wrap.
            if own is not None and (type(own) is not type(former) or own != former):
                vars(self)[name] = own
        else:
            value = None
            raise AttributeError(unknown_option(f"a {type(self).__name__}", name))

    def __delattr__(self, name: str) -> None:
        if name in OPTIONS:
            if name not in vars(self):
                raise AttributeError(f"{name} was not assigned")
            self._change(self._assigned(but=name))
            del vars(self)[name]
        elif isinstance(getattr(type(self), name, None), property):
            self._namespaces.pop((name, self._mode), None)
        else:
            super().__delattr__(name)

    def __copy__(self) -> Self:
        twin = self._twin(self._options)
        _carry(self, twin)
        return twin

    def __deepcopy__(self, known: Any) -> Self:
        from copy import deepcopy

        twin = self.__copy__()
        known[id(self)] = twin
        own = vars(twin)
        own.update(
            (name, deepcopy(value, known))
            for name, value in self._own().items()
            if not hasattr(type(self), name)
        )
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        # What a test has replaced stays here.
        own = {name: value for name, value in self._own().items() if not hasattr(type(self), name)}
        return _restored, (
            type(self),
            self._mode,
            self._settings.pickled(with_functions=True),
            own,
        )


def _restored(
    kind: type[Configurable[Any]],
    mode: type[Sync | Async],
    options: dict[str, Any],
    own: dict[str, Any],
) -> Configurable[Any]:
    """Return a client that was pickled."""
    client = kind.__new__(kind)
    client._set_up(normalize(kind.mode, options))
    vars(client).update(own)
    return client if mode is kind.mode else client._in(mode)


def _carry(source: Any, target: Any) -> None:
    """Replace in the namespaces of a copy what is replaced in those of its original."""
    from .._base.replacements import is_namespace

    each: Any
    for (name, mode), each in getattr(source, "_namespaces", {}).items():
        twin: Any = each
        if is_namespace(each):
            twin = type(each)(target._session, mode)
            twin.__dict__.update(each.__dict__)
            _carry(each, twin)
        if not hasattr(target, "_namespaces"):
            namespaces: dict[Any, Any] = {}
            target._namespaces = namespaces
        target._namespaces[name, mode] = twin


def unknown_option(owner: str, name: str) -> str:
    """Return what to say of an attribute that is no option."""
    from difflib import get_close_matches

    public = sorted(each for each in OPTIONS if not each.startswith("_"))
    near = get_close_matches(name, public, 1)
    hint = f"; is it {near[0]}?" if near else f": its options are {', '.join(public)}"
    return f"{owner} has no attribute {name!r} that could be assigned{hint}"


defer_annotations(globals())
