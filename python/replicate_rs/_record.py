"""Records: typed views of the JSON objects that the API answers with.

A record keeps the decoded object as it came: fields that the API added yesterday are there as attributes too, and fields that it
left out are None.
"""

from __future__ import annotations

from ._checks import mapping, shortened
from ._operation import Async, M, Resource, Sync
from ._typing import TypeVar, is_object, overload

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from typing import Any, ClassVar, Final, Self, TypeAlias, TypeGuard

    from ._operation import Session

    # Inside the class, `dict` is a method.
    JSONObject: TypeAlias = dict[str, Any]


R = TypeVar("R", bound="Record[Any]")


class Record(Resource[M]):
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
        own = tuple(name for name in cls.__annotations__ if not name.startswith("_") and name not in cls.__dict__)
        cls.fields = (*cls.fields, *own)
        for name in own:
            setattr(cls, name, _field(name))

    @classmethod
    def _of(cls, data: JSONObject, session: Session) -> R:  # type: ignore[type-var] # pyright: ignore[reportInvalidTypeVarUse] - the caller knows the mode
        """View an object that the API answered with."""
        record: Any = cls.__new__(cls)
        record._data = data
        record._session = session
        # What else a resource has is found when it is asked for, since a page has a hundred records.
        return record  # type: ignore[no-any-return]  # as above

    @classmethod
    def _alone(cls, data: JSONObject) -> Self:
        """View an object that came by itself; what is asked for with it is asked of the default client."""
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
        """View the same object in its client's mode, in which callers get it back, in an error for example."""
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
            """Find what a resource has besides the session, whose mode is its own, and the session of the default client."""
            if name == "_session":
                from . import default_client

                self._session = default_client._session
            elif name == "_core":
                self._core = self._session.core
            elif name in ("_mode", "_transport"):
                self._mode = mode = self._session.mode
                self._transport = mode.transport
            else:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return object.__getattribute__(self, name)

    def _view(self, name: str, kind: type[R]) -> R | None:
        """View a field that is an object."""
        data = self._data.get(name)
        return kind._of(data, self._session) if is_object(data) else None

    def _views(self, name: str, kind: type[R]) -> list[R]:
        """View a field that is a list of objects."""
        return [kind._of(each, self._session) for each in self._data.get(name) or ()]

    def dict(self) -> JSONObject:
        """Give a copy of the object, with every field that came."""
        return self._data.copy()

    def json(self) -> str:
        """Give the object as JSON text."""
        from json import dumps

        return dumps(self._data, ensure_ascii=False)

    def copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Give an independent record, with some fields changed."""
        from copy import deepcopy

        changes: Mapping[str, Any] = {} if update is None else mapping("update", update)
        return self._twin({**deepcopy(self._data), **changes})

    def _twin(self, data: JSONObject) -> Self:
        """View another object as this one is viewed."""
        try:
            session = object.__getattribute__(self, "_session")
        except AttributeError:
            return self._alone(data)
        return self._of(data, session)

    @classmethod
    def parse_obj(cls, data: Mapping[str, Any]) -> Self:
        """View an object that came from elsewhere."""
        return cls._alone({**mapping("data", data)})

    model_dump: Final = dict
    model_dump_json: Final = json
    model_validate: Final = parse_obj
    to_dict: Final = dict
    to_json: Final = json

    # pydantic, and FastAPI with it, ask a class what to do with it; they alone call these.

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        def validated(value: object) -> Record[Any]:
            if isinstance(value, cls):
                return value
            if is_object(value):
                return cls.parse_obj(value)
            raise ValueError(f"must be a {cls.__name__} or a dict of its fields")

        written = core_schema.plain_serializer_function_ser_schema(cls.dict)
        return core_schema.no_info_plain_validator_function(validated, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> JSONObject:
        return {"type": "object", "title": cls.__name__, "properties": {name: {} for name in cls.fields}}

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._data.items())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._data == other._data if _is_record(other) else NotImplemented

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # records change when they are reloaded

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={shortened(value)}' for name, value in self._data.items())})"

    def __copy__(self) -> Self:
        # Pickling forgets the client, and with it the mode; a copy has both.
        return self._twin(self._data.copy())

    def __deepcopy__(self, known: Any) -> Self:
        from copy import deepcopy

        return self._twin(deepcopy(self._data, known))

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[JSONObject]]:
        return type(self).parse_obj, (self._data,)


class moment:  # noqa: N801 - reads as a field
    """A field's time as a `datetime`, beside the text that the API sent; None if it sent none, or none that is one."""

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
