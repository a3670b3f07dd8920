"""The methods of pydantic models on records and pages, which are such models in 1.0.7 and 2.0.

Fields are not validated. `model_api`, which is loaded when it is first needed, has the rare parts.
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


class _FieldsProperty:
    """The fields of a class by name."""

    def __get__(self, record: object, kind: Any) -> dict[str, Field]:
        from .model_api import fields

        return fields(kind)


class ModelMethods:
    """The methods of pydantic models; a subclass has the data."""

    __slots__ = ()

    if TYPE_CHECKING:

        @classmethod
        def _alone(cls, data: JSONObject) -> Self:
            """Return an instance without a client."""
            ...

        def _twin(self, data: JSONObject) -> Self:
            """Return an instance with other data, of the same client."""
            ...

        def _dumpable(self, without_none: bool = False) -> JSONObject:
            """Return a copy of the data."""
            ...
    else:
        __fields__ = model_fields = _FieldsProperty()
        """The documented fields by name."""

    def dict(
        self,
        *,
        include: Choice | None = None,
        exclude: Choice | None = None,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **others: Any,
    ) -> JSONObject:
        """Return a dict of the fields that the API sent.

        Args:
            include: The fields to include: a set of names, or a dict of names and what to include
                of each.
            exclude: The fields to leave out, in the same form.
            exclude_defaults: The same as `exclude_none`.
            exclude_none: Leave out fields that are None, in nested records too.
            others: Other options of pydantic, such as `by_alias`; they have no effect.

        Raises:
            TypeError: An option does not exist, or has the wrong type.

        """
        if include is None and exclude is None and not (exclude_defaults or exclude_none or others):
            return self._dumpable()
        from .model_api import check_options, dump

        check_options(others)
        without_none = exclude_defaults or exclude_none
        return dump(
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
        """Return the fields as JSON text.

        Args:
            include: As for `dict`.
            exclude: As for `dict`.
            exclude_defaults: As for `dict`.
            exclude_none: As for `dict`.
            encoder: A function that converts a value that JSON cannot carry.
            dumps: Options of `json.dumps`, such as `indent`. Other options of pydantic have no
                effect.

        Raises:
            TypeError: An option has the wrong type, or JSON cannot carry a value.

        """
        from json import dumps as to_json

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
        return to_json(data, default=encoder, **dumps)

    def copy(
        self,
        *,
        include: Choice | None = None,
        exclude: Choice | None = None,
        update: Mapping[str, Any] | None = None,
        deep: bool = True,
    ) -> Self:
        """Return a copy.

        Args:
            include: The fields to include, as for `dict`.
            exclude: The fields to leave out, as for `dict`.
            update: New values of fields.
            deep: Copy lists and dicts in fields too.

        Raises:
            TypeError: An argument has the wrong type.

        """
        from copy import deepcopy

        changes: Mapping[str, Any] = {} if update is None else mapping("update", update)
        data = self.dict(include=include, exclude=exclude)
        return self._twin({**(deepcopy(data) if flag("deep", deep) else data), **changes})

    @classmethod
    def parse_obj(cls, data: Mapping[str, Any]) -> Self:
        """Return an instance with the fields of a dict.

        Args:
            data: The fields by name.

        Raises:
            TypeError: `data` is not a mapping.

        """
        return cls._alone({**mapping("data", data)})

    @classmethod
    def parse_raw(cls, b: str | bytes, *, encoding: str = "utf8", **others: Any) -> Self:
        """Return an instance with the fields of an object in JSON.

        Args:
            b: The text, or its bytes.
            encoding: The encoding of bytes.
            others: Other options of pydantic; they have no effect, and nothing is unpickled.

        Raises:
            TypeError: An option does not exist.
            ValueError: The text is not the JSON of an object.

        """
        from json import loads

        if unknown := others.keys() - {"content_type", "proto", "allow_pickle"}:
            raise TypeError(f"unexpected keyword argument {unknown.pop()!r}")
        data = loads(b if isinstance(b, str) else bytes(b).decode(encoding))
        if not is_object(data):
            raise ValueError(f"a {cls.__name__} is an object in JSON, not {type(data).__name__}")
        return cls._alone(data)

    @classmethod
    def parse_file(cls, path: str | PathLike[str], **options: Any) -> Self:
        """Return an instance with the fields of an object in a JSON file.

        Args:
            path: The file.
            options: As for `parse_raw`.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file is not the JSON of an object.

        """
        from pathlib import Path

        return cls.parse_raw(Path(path).read_bytes(), **options)

    @classmethod
    def construct(cls, _fields_set: object = None, **values: Any) -> Self:
        """Return an instance with some fields, without validation.

        Args:
            values: The fields by name.

        """
        return cls(**values)

    @classmethod
    def validate(cls, value: Any) -> Self:
        """Return an instance as it is, or a dict as an instance.

        Args:
            value: An instance, or a dict.

        Raises:
            TypeError: `value` is neither.

        """
        return value if isinstance(value, cls) else cls.parse_obj(value)

    @classmethod
    def schema(
        cls,
        by_alias: bool = True,  # noqa: ARG003 - pydantic's signature
        ref_template: str = "#/definitions/{model}",
    ) -> JSONObject:
        """Return a JSON schema of the documented fields.

        Args:
            by_alias: Without effect.
            ref_template: The form of references to other schemas.

        """
        from .model_api import schema

        return schema(cls, ref_template)

    @classmethod
    def schema_json(
        cls, *, by_alias: bool = True, ref_template: str = "#/definitions/{model}", **dumps: Any
    ) -> str:
        """Return the JSON schema as text; `dumps` are options of `json.dumps`.

        Args:
            by_alias: Without effect.
            ref_template: The form of references to other schemas.
            dumps: Options of `json.dumps`.

        """
        from json import dumps as to_json

        return to_json(cls.schema(by_alias, ref_template), **dumps)

    def model_dump(self, **options: Any) -> JSONObject:
        """Return a dict of the fields that the API sent; see `dict`.

        Args:
            options: Those of `dict`.

        """
        return self.dict(**options)

    def model_dump_json(
        self, *, indent: int | None = None, ensure_ascii: bool = False, **options: Any
    ) -> str:
        """Return the fields as JSON text; `options` are those of `dict`.

        Args:
            indent: Spaces of one level; None for one line.
            ensure_ascii: Whether to escape characters outside of ASCII.
            options: Those of `dict`.

        """
        from json import dumps

        return dumps(self.dict(**options), ensure_ascii=ensure_ascii, indent=indent)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, by default a shallow one; see `copy`.

        Args:
            update: Fields to replace.
            deep: Whether to copy their values, too.

        """
        return self.copy(update=update, deep=deep)

    @classmethod
    def model_validate(cls, obj: Any, **_options: Any) -> Self:
        """Return an instance as it is, or a dict as an instance; see `validate`.

        Args:
            obj: An instance, or a dict.

        """
        return cls.validate(obj)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes, **_options: Any) -> Self:
        """Return an instance with the fields of an object in JSON; see `parse_raw`.

        Args:
            json_data: The text, or its bytes in UTF-8.

        """
        return cls.parse_raw(json_data)

    @classmethod
    def model_json_schema(
        cls, by_alias: bool = True, ref_template: str = "#/$defs/{model}", **_options: Any
    ) -> JSONObject:
        """Return a JSON schema of the documented fields, in pydantic 2's form; see `schema`.

        Args:
            by_alias: Without effect.
            ref_template: The form of references to other schemas.

        """
        schema = cls.schema(by_alias, ref_template)
        definitions = schema.pop("definitions", None)
        return {**schema, "$defs": definitions} if definitions else schema

    model_construct: Final = construct
    to_dict: Final = model_dump
    to_json: Final = model_dump_json

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> JSONObject:
            """The fields that the API sent, for `vars`; changes of it change the record."""
            from .model_api import nested_records

            records = {
                name: getattr(self, name)
                for name in nested_records(type(self))
                if name in self._data
            }
            return {**self._data, **records} if records else self._data

        @property
        def __fields_set__(self) -> set[str]:
            """The names of the fields that the API sent."""
            return {*self._data}

        model_fields_set = __fields_set__

        @property
        def model_extra(self) -> JSONObject:
            """The undocumented fields."""
            from .model_api import fields

            known = fields(type(self))
            return {name: value for name, value in self._data.items() if name not in known}

    # pydantic calls the following methods, and so does FastAPI.

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        from pydantic_core import core_schema

        def validate(value: object) -> ModelMethods:
            if isinstance(value, cls):
                return value
            if is_object(value):
                return cls.parse_obj(value)
            raise ValueError(f"must be a {cls.__name__} or a dict of its fields")

        serialization = core_schema.plain_serializer_function_ser_schema(cls.dict)
        return core_schema.no_info_plain_validator_function(validate, serialization=serialization)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> JSONObject:
        # The API promises the required fields; others' data need not have them.
        return {
            name: value
            for name, value in cls.schema().items()
            if name not in ("required", "definitions")
        }


defer_annotations(globals())
