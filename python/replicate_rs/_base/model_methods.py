"""The methods that records and pages have of models of pydantic, which they are in 1.0.7 and 2.0.

Nothing is validated: what the API sends is taken as it is. What is asked for rarely is in
`_model_api`.
"""

from __future__ import annotations

from .checks import flag, mapping
from .typing import TYPE_CHECKING, defer_annotations, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike
    from typing import Any, Final, Self, TypeAlias

    from .model_api import Field
    from .types import Choice

    # Inside the class, `dict` is a method.
    JSONObject: TypeAlias = dict[str, Any]


class _Described:
    """Descriptions of a class's fields."""

    def __get__(self, record: object, kind: Any) -> dict[str, Field]:
        from .model_api import fields

        return fields(kind)


class ModelMethods:
    """What is in an object, in the forms that pydantic has for it."""

    __slots__ = ()

    if not TYPE_CHECKING:
        __fields__ = model_fields = _Described()

    @classmethod
    def _alone(cls, data: JSONObject) -> Self:
        """Return an object that no client made."""
        raise NotImplementedError

    def _twin(self, data: JSONObject) -> Self:
        """Return one with other data."""
        raise NotImplementedError

    def _dumpable(self, without_none: bool = False) -> JSONObject:
        """Return a copy of the data."""
        raise NotImplementedError

    def dict(
        self,
        *,
        include: Choice | None = None,
        exclude: Choice | None = None,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **others: Any,
    ) -> JSONObject:
        """Return a copy of the object, with every field that came.

        Args:
            include: The fields to take: a set of names, or a dict of names and what to take of
                each.
            exclude: The fields to leave out, in the same form.
            exclude_defaults: Leave out fields that are None, as `exclude_none` does.
            exclude_none: Leave out fields that are None, also in records within this one.
            others: What pydantic takes besides, such as `by_alias` and `exclude_unset`; without
                effect.

        """
        if include is None and exclude is None and not (exclude_defaults or exclude_none or others):
            return self._dumpable()
        from .model_api import check_options, dumped

        check_options(others)
        without_none = exclude_defaults or exclude_none
        return dumped(
            type(self), self._dumpable(without_none), include, exclude, without_none=without_none
        )

    def json(
        self,
        *,
        include: Choice | None = None,
        exclude: Choice | None = None,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        encoder: Callable[[Any], Any] | None = None,
        **dumps: Any,
    ) -> str:
        """Return the object as JSON text.

        Args:
            include: As for `dict`.
            exclude: As for `dict`.
            exclude_defaults: As for `dict`.
            exclude_none: As for `dict`.
            encoder: Returns what JSON can carry for a value that it cannot.
            dumps: What `json.dumps` takes, such as `indent`; and what pydantic takes besides,
                without effect.

        """
        from json import dumps as write

        data = self.dict(
            include=include,
            exclude=exclude,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )
        if dumps:
            from .model_api import WITHOUT_EFFECT

            dumps = {name: value for name, value in dumps.items() if name not in WITHOUT_EFFECT}
        dumps.setdefault("ensure_ascii", False)
        return write(data, default=encoder, **dumps)

    def copy(
        self,
        *,
        include: Choice | None = None,
        exclude: Choice | None = None,
        update: Mapping[str, Any] | None = None,
        deep: bool = True,
    ) -> Self:
        """Return another record with the same fields.

        Args:
            include: The fields to take, as for `dict`.
            exclude: The fields to leave out, as for `dict`.
            update: Fields with other values.
            deep: Copy what is in the fields too; else both records have the same lists and dicts.

        """
        from copy import deepcopy

        changes: Mapping[str, Any] = {} if update is None else mapping("update", update)
        data = self.dict(include=include, exclude=exclude)
        return self._twin({**(deepcopy(data) if flag("deep", deep) else data), **changes})

    @classmethod
    def parse_obj(cls, data: Mapping[str, Any]) -> Self:
        """View an object that came from elsewhere."""
        return cls._alone({**mapping("data", data)})

    @classmethod
    def parse_raw(cls, b: str | bytes, *, encoding: str = "utf8", **others: Any) -> Self:
        """View an object that came from elsewhere as JSON text.

        Args:
            b: The text, or its bytes.
            encoding: Of bytes.
            others: What pydantic takes besides; without effect, except that nothing is unpickled.

        Raises:
            ValueError: It is not the JSON of an object.

        """
        from json import loads

        if others.keys() - {"content_type", "proto", "allow_pickle"}:
            raise TypeError(
                "unexpected keyword argument"
                f" {(others.keys() - {'content_type', 'proto', 'allow_pickle'}).pop()!r}"
            )
        data = loads(b if isinstance(b, str) else bytes(b).decode(encoding))
        if not is_object(data):
            raise ValueError(f"a {cls.__name__} is an object in JSON, not {type(data).__name__}")
        return cls._alone(data)

    @classmethod
    def parse_file(cls, path: str | PathLike[str], **options: Any) -> Self:
        """View an object that is in a file as JSON text; takes and raises what `parse_raw` does
        besides.
        """
        from pathlib import Path

        return cls.parse_raw(Path(path).read_bytes(), **options)

    @classmethod
    def construct(cls, _fields_set: object = None, **values: Any) -> Self:
        """Return a record of some fields. As pydantic's `construct`, it validates nothing."""
        return cls(**values)

    @classmethod
    def validate(cls, value: Any) -> Self:
        """Return a record of this class, made of a dict if it is none."""
        return value if isinstance(value, cls) else cls.parse_obj(value)

    @classmethod
    def schema(
        cls,
        by_alias: bool = True,
        ref_template: str = "#/definitions/{model}",
    ) -> JSONObject:
        """Return a JSON schema of the documented fields."""
        from .model_api import schema

        return schema(cls, ref_template)

    @classmethod
    def schema_json(
        cls, *, by_alias: bool = True, ref_template: str = "#/definitions/{model}", **dumps: Any
    ) -> str:
        """Return the JSON schema as text; takes what `json.dumps` takes."""
        from json import dumps as write

        return write(cls.schema(by_alias, ref_template), **dumps)

    def model_dump(self, **options: Any) -> JSONObject:
        """Do what `dict` does, under the name that pydantic 2 has for it."""
        return self.dict(**options)

    def model_dump_json(
        self, *, indent: int | None = None, ensure_ascii: bool = False, **options: Any
    ) -> str:
        """Return the object as JSON text; takes what `dict` takes, and `indent`."""
        from json import dumps

        return dumps(self.dict(**options), ensure_ascii=ensure_ascii, indent=indent)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Do what `copy` does, under the name and with the default of pydantic 2."""
        return self.copy(update=update, deep=deep)

    @classmethod
    def model_validate(cls, obj: Any, **_options: Any) -> Self:
        """Do what `validate` does, under the name that pydantic 2 has for it."""
        return cls.validate(obj)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes, **_options: Any) -> Self:
        """Do what `parse_raw` does, under the name that pydantic 2 has for it."""
        return cls.parse_raw(json_data)

    @classmethod
    def model_json_schema(
        cls, by_alias: bool = True, ref_template: str = "#/$defs/{model}", **_options: Any
    ) -> JSONObject:
        """Return a JSON schema of the documented fields, as pydantic 2 writes it."""
        schema = cls.schema(by_alias, ref_template)
        definitions = schema.pop("definitions", None)
        return {**schema, "$defs": definitions} if definitions else schema

    model_construct: Final = construct
    to_dict: Final = model_dump
    to_json: Final = model_dump_json

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> JSONObject:
            """The fields that came: `vars` shows them, and a change of it is one of the record."""
            from .model_api import nested

            views = {name: getattr(self, name) for name in nested(type(self)) if name in self._data}
            return {**self._data, **views} if views else self._data

        @property
        def __fields_set__(self) -> set[str]:
            """The names of the fields that came."""
            return {*self._data}

        model_fields_set = __fields_set__

        @property
        def model_extra(self) -> JSONObject:
            """The fields that are not documented."""
            from .model_api import fields

            known = fields(type(self))
            return {name: value for name, value in self._data.items() if name not in known}

    # pydantic, and FastAPI with it, ask a class what to do with it; they alone call these.

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        def validated(value: object) -> ModelMethods:
            if isinstance(value, cls):
                return value
            if is_object(value):
                return cls.parse_obj(value)
            raise ValueError(f"must be a {cls.__name__} or a dict of its fields")

        written = core_schema.plain_serializer_function_ser_schema(cls.dict)
        return core_schema.no_info_plain_validator_function(validated, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> JSONObject:
        # What the API promises is not asked of others.
        return {
            name: value
            for name, value in cls.schema().items()
            if name not in ("required", "definitions")
        }


defer_annotations(globals())
