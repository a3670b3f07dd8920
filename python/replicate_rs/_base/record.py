"""Records: typed views of the JSON objects in the API's responses.

A record keeps the decoded object as it is; that of a page is decoded when it is read. Fields that
this library does not know are attributes too, and documented fields that the API left out are None.
"""

from __future__ import annotations

from .._core import Expect
from .model_methods import ModelMethods
from .resource import M, Resource
from .session import Async, Sync
from .typing import TypeVar, defer_annotations, is_array, is_object, overload

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping
    from datetime import datetime
    from typing import Any, ClassVar, Self, TypeAlias, TypeGuard

    from .._core import JsonObject
    from .resource import Options, Target
    from .session import Session

    # Inside the class, `dict` is a method.
    JSONObject: TypeAlias = dict[str, Any]


R = TypeVar("R", bound="Record[Any]")


# Limits of a record's `repr`: characters of a string, items of a list or an object, nested levels,
# characters of a field.
MAX_STRING, MAX_ITEMS, MAX_DEPTH, MAX_FIELD = 200, 20, 8, 2000


class Record(ModelMethods, Resource[M]):
    """The base class of records. Its annotations are the documented fields.

    A record has the mode of its client: the methods of an `AsyncReplicate`'s are awaited.
    """

    __slots__ = ("_data", "_json")

    _data: JSONObject
    # Of a record of a page, until its `_data` is first read; None from then on.
    _json: JsonObject | None
    fields: ClassVar[tuple[str, ...]] = ()
    """The names of the documented fields."""

    def __init__(self, **data: Any) -> None:
        self._data = data
        self._json = None

    def __init_subclass__(cls) -> None:
        # An annotated name with a value is a method or a property, not a field.
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
        """Return a record of an object in a response."""
        record: Any = cls.__new__(cls)
        record._data = data
        record._json = None
        record._session = session
        # `__getattr__` finds the mode and the transport when they are needed: a page has up to a
        # hundred records.
        return record  # type: ignore[no-any-return]  # as above

    @classmethod
    def _in_page(cls, json: JsonObject, session: Session) -> R:  # type: ignore[type-var] # pyright: ignore[reportInvalidTypeVarUse] - as above
        """Return a record of an object in a page."""
        record: Any = cls.__new__(cls)
        record._json = json
        record._session = session
        return record  # type: ignore[no-any-return]  # as above

    @classmethod
    def _alone(cls, data: JSONObject) -> Self:
        """Return a record without a client; its methods use the default client."""
        record = cls.__new__(cls)
        record._data = data
        record._json = None
        return record

    def _in(self, mode: type[Sync | Async]) -> Self:
        """Return a record of the same object in another mode; both see each other's changes."""
        record: Self = self._of(self._data, self._session)
        record._mode = mode
        record._transport = mode.transport
        return record

    def _as_given(self) -> Self:
        """Return a record of the same object in its client's mode, for errors and callbacks."""
        mode = self._session.mode
        return self if self._mode is mode else self._in(mode)

    def _update(self, data: Mapping[str, Any]) -> None:
        """Replace the fields by those of a newer response."""
        if data is not self._data:
            # No field is missing in between, for other threads that read this record.
            self._data.update(data)
            for name in set(self._data).difference(data):
                self._data.pop(name, None)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return an undocumented field, or an attribute that is set when it is first needed."""
            if name.startswith("_"):
                return self._set_missing(name)
            try:
                return self._data[name]
            except KeyError:
                raise AttributeError(f"this {type(self).__name__} has no field {name!r}") from None

        def _set_missing(self, name: str) -> Any:
            """Set the default client's session, the session's mode, or what a page's JSON has."""
            if name == "_data":
                # Another thread that comes in between gets the same dict.
                if (json := self._json) is not None:
                    self._data = json.decode()
                    self._json = None
            elif name == "_session":
                from .package import default_client

                self._session = default_client()._session
            elif name in ("_mode", "_transport"):
                self._mode = mode = self._session.mode
                self._transport = mode.transport
            else:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return object.__getattribute__(self, name)

    def _view(self, name: str, kind: type[R]) -> R | None:
        """Return a field that is an object, or the name of one, as a record."""
        return self._to_record(self._data.get(name), kind)

    def _views(self, name: str, kind: type[R]) -> list[R]:
        """Return a field that is a list of objects, or of their names, as records."""
        values = self._data.get(name)
        items = values if is_array(values) else []
        return [record for item in items if (record := self._to_record(item, kind)) is not None]

    def _to_record(self, value: object, kind: type[R]) -> R | None:
        data = kind._from_name(value) if isinstance(value, str) else value
        return kind._of(data, self._session) if is_object(data) else None

    @classmethod
    def _from_name(cls, name: str) -> JSONObject | None:  # noqa: ARG003 - for classes that have names
        """Return an object's fields where the API gives its name only; None if there are none."""
        return None

    def _dumpable(self, without_none: bool = False) -> JSONObject:  # noqa: ARG002 - for pages
        return self._data.copy()

    def _twin(self, data: JSONObject) -> Self:
        """Return a record of another object, of the same client."""
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
        fields = ", ".join(f"{name}={shortened(value)}" for name, value in self._data.items())
        return f"{type(self).__name__}({fields})"

    def __copy__(self) -> Self:
        # Not through `__reduce__`: a pickle has neither the client nor the mode.
        return self._twin(self._data.copy())

    def __deepcopy__(self, known: Any) -> Self:
        from copy import deepcopy

        return self._twin(deepcopy(self._data, known))

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reduced(self._data)

    def _reduced(self, data: JSONObject) -> tuple[Any, ...]:
        """Return the parts of a pickle: fields, and the client's options without secrets."""
        try:
            session: Session = object.__getattribute__(self, "_session")
        except AttributeError:
            return type(self).parse_obj, (data,)
        if session.config.is_plain_default:
            return type(self).parse_obj, (data,)
        return _restored, (type(self), data, session)


def _restored(kind: type[Record[Any]], data: JSONObject, session: Session) -> Record[Any]:
    """Return a record that was pickled; its methods block."""
    record: Record[Any] = kind._of(data, session.in_mode(Sync))
    return record


def fetch(
    resource: Resource[Any],
    kind: type[R],
    method: str,
    target: Target,
    options: Options,
    body: Mapping[str, object] | None = None,
    *,
    expect: Expect[JSONObject] = Expect.OBJECT,
) -> Awaitable[R]:
    """Send a request; its result is the object in its response, as a record."""
    pending = resource._send(method, target, expect, options, body=body)
    convert: Any = kind._of
    return resource._transport.finish(pending.then(convert, resource._session))


def fetch_into(
    record: Record[Any],
    method: str,
    target: Target,
    options: Options,
    expect: Expect[JSONObject] = Expect.RECORD,
) -> Awaitable[None]:
    """Send a request; the fields of the object in its response replace the record's."""
    pending = record._send(method, target, expect, options)
    return record._transport.finish(pending.then(_replace_fields, record))


def _replace_fields(data: JSONObject, record: Record[Any]) -> None:
    record._update(data)


class timestamp_property:  # noqa: N801 - used as a field
    """The `datetime` of a field that is ISO 8601 text; None if the text is missing or malformed."""

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
            return datetime.fromisoformat(_get_field(record, self.name))
        except (TypeError, ValueError):
            return None


def _is_record(value: object) -> TypeGuard[Record[Any]]:
    return isinstance(value, Record)


def _get_field(record: Record[Any], name: str) -> Any:
    """Return a field, or None."""
    json = record._json
    if json is not None and (value := json.get(name)) is not NotImplemented:
        return value
    return record._data.get(name)


def _field(name: str) -> property:
    def get(record: Record[Any]) -> Any:
        # The body of `_get_field`, to save a call.
        json = record._json
        if json is not None and (value := json.get(name)) is not NotImplemented:
            return value
        return record._data.get(name)

    def put(record: Record[Any], value: Any) -> None:
        record._data[name] = value

    return property(get, put)


def shortened(value: object, depth: int = 0) -> str:
    """Return the `repr` of a JSON value with long strings, lists and objects cut."""
    if isinstance(value, (str, bytes)) and len(value) > MAX_STRING:
        unit = "characters" if isinstance(value, str) else "bytes"
        return f"{value[:MAX_STRING]!r}… ({len(value):,} {unit})"
    if not is_object(value) and not (is_array(value) and type(value) is list):
        return repr(value)
    if depth == MAX_DEPTH:
        return "…"
    items: list[str] = []
    if is_object(value):
        first = [*value.items()][:MAX_ITEMS]
        items = [f"{shortened(key)}: {shortened(item, depth + 1)}" for key, item in first]
    elif is_array(value):
        items = [shortened(item, depth + 1) for item in value[:MAX_ITEMS]]
    if len(value) > MAX_ITEMS:
        items.append(f"… ({len(value):,} in all)")
    text = ", ".join(items)
    text = text if len(text) <= MAX_FIELD else f"{text[:MAX_FIELD]}…"
    return f"{{{text}}}" if is_object(value) else f"[{text}]"


defer_annotations(globals())
