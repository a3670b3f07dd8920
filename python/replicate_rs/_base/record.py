"""Records: typed views of the JSON objects that the API answers with.

A record keeps the decoded object as it came: fields that the API added yesterday are there as
attributes too, and fields that it left out are None.
"""

from __future__ import annotations

from .checks import shortened
from .model_methods import ModelMethods
from .operation import Async, M, Resource, Sync
from .typing import TypeVar, defer_annotations, is_array, is_object, overload

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import Any, ClassVar, Self, TypeAlias, TypeGuard

    from .operation import Session

    # Inside the class, `dict` is a method.
    JSONObject: TypeAlias = dict[str, Any]


R = TypeVar("R", bound="Record[Any]")


class Record(ModelMethods, Resource[M]):
    """The base of all records. Its annotations are the documented fields.

    A record has its client's mode: the methods of one that an `AsyncReplicate` gave are awaited.
    """

    __slots__ = ("_data",)

    _data: JSONObject
    fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **data: Any) -> None:
        self._data = data

    def __init_subclass__(cls) -> None:
        # What has a value of its own is a method or a view, not a field.
        own = tuple(
            name
            for name in cls.__annotations__
            if not name.startswith("_") and name not in cls.__dict__
        )
        cls.fields = (*cls.fields, *own)
        for name in own:
            setattr(cls, name, _field(name))

    @classmethod
    def _of(cls, data: JSONObject, session: Session) -> R:  # type: ignore[type-var] # pyright: ignore[reportInvalidTypeVarUse] - the caller knows the mode
        """View an object that the API answered with."""
        record: Any = cls.__new__(cls)
        record._data = data
        record._session = session
        # What else a resource has is found when it is asked for, since a page has a hundred
        # records.
        return record  # type: ignore[no-any-return]  # as above

    @classmethod
    def _alone(cls, data: JSONObject) -> Self:
        """View an object that came by itself; what is asked for with it is asked of the default
        client.
        """
        record = cls.__new__(cls)
        record._data = data
        return record

    def _in(self, mode: type[Sync | Async]) -> Self:
        """View the same object in another mode: what one updates, the other shows."""
        record: Self = self._of(self._data, self._session)
        record._mode = mode
        record._transport = mode.transport
        return record

    def _as_given(self) -> Self:
        """View the same object in its client's mode, in which callers get it back, in an error for
        example.
        """
        mode = self._session.mode
        return self if self._mode is mode else self._in(mode)

    def _update(self, data: Mapping[str, Any]) -> None:
        """Take over a newer answer."""
        if data is not self._data:
            new = dict(data)
            self._data.clear()
            self._data.update(new)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Find undocumented fields, and bind records that no client made to the default client."""
            if name.startswith("_"):
                return self._missing(name)
            try:
                return self._data[name]
            except KeyError:
                raise AttributeError(f"this {type(self).__name__} has no field {name!r}") from None

        def _missing(self, name: str) -> Any:
            """Find what a resource has besides the session, whose mode is its own, and the session
            of the default client.
            """
            if name == "_session":
                from .package import default_client

                self._session = default_client()._session
            elif name in ("_mode", "_transport"):
                self._mode = mode = self._session.mode
                self._transport = mode.transport
            else:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return object.__getattribute__(self, name)

    def _view(self, name: str, kind: type[R]) -> R | None:
        """View a field that is an object, or the name of one."""
        return self._viewed(self._data.get(name), kind)

    def _views(self, name: str, kind: type[R]) -> list[R]:
        """View a field that is a list of objects, or of names of them."""
        values = self._data.get(name)
        viewed = [self._viewed(each, kind) for each in values] if is_array(values) else []
        return [each for each in viewed if each is not None]

    def _viewed(self, value: object, kind: type[R]) -> R | None:
        data = kind._named_by(value) if isinstance(value, str) else value
        return kind._of(data, self._session) if is_object(data) else None

    @classmethod
    def _named_by(cls, name: str) -> JSONObject | None:  # noqa: ARG003 - of those that have a name
        """Return the object that a name stands for where the API gives no more of it."""
        return None

    def _dumpable(self, without_none: bool = False) -> JSONObject:  # noqa: ARG002 - a page's
        return self._data.copy()

    def _twin(self, data: JSONObject) -> Self:
        """View another object as this one is viewed."""
        try:
            session = object.__getattribute__(self, "_session")
        except AttributeError:
            return self._alone(data)
        return self._of(data, session)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._data.items())

    def __eq__(self, other: object) -> bool:
        if _is_record(other):
            return type(self) is type(other) and self._data == other._data
        return self._data == other if is_object(other) else NotImplemented

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # records change when they are reloaded

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={shortened(value)}' for name, value in self._data.items())})"

    def __copy__(self) -> Self:
        # Pickling forgets the client, and with it the mode; a copy has both.
        return self._twin(self._data.copy())

    def __deepcopy__(self, known: Any) -> Self:
        from copy import deepcopy

        return self._twin(deepcopy(self._data, known))

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reduced(self._data)

    def _reduced(self, data: JSONObject) -> tuple[Any, ...]:
        """Return what a pickle of this has: some fields, and what the client was made with, but for
        secrets.
        """
        try:
            session: Session = object.__getattribute__(self, "_session")
        except AttributeError:
            return type(self).parse_obj, (data,)
        if session.config.is_plain_default:
            return type(self).parse_obj, (data,)
        return _restored, (type(self), data, session)


def _restored(kind: type[Record[Any]], data: JSONObject, session: Session) -> Record[Any]:
    """View an object that was pickled, with its client's options but for secrets.

    Its methods block.
    """
    record: Record[Any] = kind._of(data, session.in_mode(Sync))
    return record


class moment:  # noqa: N801 - reads as a field
    """A field's time as a `datetime`, beside the text that the API sent; None if it sent none, or
    none that is one.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name

    @overload
    def __get__(self, record: None, owner: object) -> Self: ...
    @overload
    def __get__(self, record: Record[Any], owner: object) -> datetime | None: ...
    def __get__(self, record: Record[Any] | None, owner: object) -> datetime | Self | None:
        if record is None:
            return self
        from datetime import datetime

        try:
            return datetime.fromisoformat(record._data[self.name])
        except (KeyError, TypeError, ValueError):
            return None


def _is_record(value: object) -> TypeGuard[Record[Any]]:
    return isinstance(value, Record)


def _field(name: str) -> property:
    def get(record: Record[Any]) -> Any:
        return record._data.get(name)

    def put(record: Record[Any], value: Any) -> None:
        record._data[name] = value

    return property(get, put)


defer_annotations(globals())
