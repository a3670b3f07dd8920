"""Versions of models."""

from __future__ import annotations

from ._base.checks import identity
from ._base.operation import M, Namespace, async_operation, operation, unchecked
from ._base.record import Record, moment
from ._base.typing import TYPE_CHECKING, defer_annotations, is_array, is_object
from ._core import Expect
from .identifier import named
from .pagination import page_of

if TYPE_CHECKING:
    from types import EllipsisType
    from typing import Any, Final, Unpack

    from ._base.operation import Options
    from .identifier import HasId, ModelOptions, Ref
    from .pagination import Page


class Version(Record[M]):
    """A version of a model (https://replicate.com/docs/reference/http#models.versions.get)."""

    __slots__ = ()

    id: str
    """64 hexadecimal digits."""
    created_at: str | None
    """ISO 8601, in UTC."""
    created: Final = moment("created_at")
    cog_version: str | None
    openapi_schema: dict[str, Any] | None
    """Describes the inputs and the output, under ``components.schemas``."""

    @property
    def is_iterator(self) -> bool:
        """Whether the output is a list that grows."""
        schema = make_schema_backwards_compatible(self.openapi_schema or {}, self.cog_version or "")
        return bool(_output_of(schema).get("x-cog-array-type") == "iterator")

    @property
    def is_text(self) -> bool:
        """Whether the parts of the output are to be joined."""
        return (
            self.is_iterator
            and _output_of(self.openapi_schema or {}).get("x-cog-array-display") == "concatenate"
        )


# Before this version of Cog, schemas did not say which arrays grow.
_FIRST_WITH_ARRAY_TYPES = (0, 3, 9)


def version_has_no_array_type(cog_version: str) -> bool | None:
    """Whether a model's schema does not say which arrays grow, by the version of Cog that made it;
    None if that is not one.
    """
    from re import VERBOSE, fullmatch

    parts = fullmatch(
        r"""\s* v? (?P<release>\d+(?:\.\d+)*)
        (?P<before> [-_.]? (?:alpha|a|beta|b|preview|pre|c|rc) [-_.]? \d* )?
        (?: -\d+ | [-_.]? (?:post|rev|r) [-_.]? \d* )?
        (?P<dev> [-_.]? dev [-_.]? \d* )?
        (?: \+ [a-z\d]+ (?:[-_.][a-z\d]+)* )? \s*""",
        cog_version.lower(),
        VERBOSE,
    )
    if parts is None:
        return None
    numbers = [int(each) for each in parts["release"].split(".")]
    release = (*numbers, 0, 0)[: max(3, len(numbers))]
    early = parts["before"] or parts["dev"]
    return release < _FIRST_WITH_ARRAY_TYPES or (release == _FIRST_WITH_ARRAY_TYPES and bool(early))


def make_schema_backwards_compatible(schema: dict[str, Any], cog_version: str) -> dict[str, Any]:
    """Give a schema whose output says that it grows, if it is an array and older than such words;
    the schema itself stays.
    """
    output = _output_of(schema)
    if output.get("type") != "array" or not version_has_no_array_type(cog_version):
        return schema
    components = schema["components"]
    schemas = {**components["schemas"], "Output": {**output, "x-cog-array-type": "iterator"}}
    return {**schema, "components": {**components, "schemas": schemas}}


# Schemas that describe what a model takes and gives, and not a part of that.
_WHOLE = ("Input", "Output", "TrainingInput", "TrainingOutput")


def schema_of(version: Version[Any]) -> dict[str, Any]:
    """Return a version's schema without references, paths, and the schemas that were referred to,
    as 2.0 does.

    A schema that contains itself stays, and a reference to it where it does.
    """
    schema = make_schema_backwards_compatible(
        version.openapi_schema or {}, version.cog_version or ""
    )
    known: dict[str, Any] = {}
    found: dict[str, Any] = {**_without_references(schema, schema, known), "paths": {}}
    components = found.get("components")
    if not is_object(components) or not is_object(components.get("schemas")):
        return found
    schemas: dict[str, Any] = components["schemas"]
    kept = {
        name: each
        for name, each in schemas.items()
        if name in _WHOLE or _reference_to(name) not in known
    }
    rest = [*kept.values()]
    seen: set[int] = set()
    while rest:
        # The same schema may be in many places.
        value = rest.pop()
        if id(value) in seen or not (is_object(value) or is_array(value)):
            continue
        seen.add(id(value))
        ref = value.get("$ref") if is_object(value) else None
        name = ref.removeprefix(_reference_to("")) if isinstance(ref, str) else ""
        if name in schemas and name not in kept:
            kept[name] = schemas[name]
            rest.append(schemas[name])
        rest.extend(value.values() if is_object(value) else value)
    return {**found, "components": {**components, "schemas": kept}}


def _reference_to(name: str) -> str:
    return f"#/components/schemas/{name}"


def _without_references(value: Any, root: dict[str, Any], known: dict[str, Any]) -> Any:
    if is_array(value):
        return [_without_references(each, root, known) for each in value]
    if not is_object(value):
        return value
    ref = value.get("$ref")
    if not isinstance(ref, str) or not ref.startswith("#/"):
        return {key: _without_references(each, root, known) for key, each in value.items()}
    if ref not in known:
        # A schema that contains itself stays a reference where it does; one that is named often is
        # looked at once.
        known[ref] = value
        target: Any = root
        for key in ref[2:].split("/"):
            target = target.get(key) if is_object(target) else None
        if target is not None:
            known[ref] = _without_references(target, root, known)
    return known[ref]


def _output_of(schema: dict[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = schema.get("components", {}).get("schemas", {}).get("Output", {})
    return output


class Versions(Namespace[M]):
    """`client.models.versions`."""

    __slots__ = ()

    @operation
    async def list(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        *,
        cursor: str | EllipsisType = ...,
        **options: Unpack[ModelOptions],
    ) -> Page[Version[M]]:
        """Fetch a model's versions, newest first. Official models may have none."""
        model = named("model", owner, name, options)
        return await page_of(self, Version[M], ("models", *model, "versions"), cursor, options)

    async_list: Final = async_operation(list)

    @operation
    async def get(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        version_id: str | HasId = "",
        **options: Unpack[ModelOptions],
    ) -> Version[M]:
        """Fetch a version of a model."""
        model = named("model", owner, name, options)
        pending = self._send(
            "GET",
            ("models", *model, "versions", identity("version_id", version_id)),
            Expect.RECORD,
            options,
        )
        return Version._of(await self._transport.finish(pending), self._session)

    async_get: Final = async_operation(get)

    @operation
    async def delete(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        version_id: str | HasId = "",
        **options: Unpack[ModelOptions],
    ) -> bool:
        """Delete a version of a private model of yours, and what it made; True if the API has
        accepted that.
        """
        model = named("model", owner, name, options)
        pending = self._send(
            "DELETE",
            ("models", *model, "versions", identity("version_id", version_id)),
            Expect.STATUS,
            options,
        )
        return await self._transport.finish(pending) < 300

    async_delete: Final = async_operation(delete)


class VersionsOfModel(Namespace[M]):
    """`model.versions`: those of one model."""

    __slots__ = ("_model",)

    _model: tuple[str, str]

    def of(self, model: tuple[str, str]) -> VersionsOfModel[M]:
        """Say whose."""
        self._model = model
        return self

    def _in(self, mode: Any) -> Any:
        return type(self)(self._session, mode).of(self._model)

    @operation
    async def list(
        self, *, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> Page[Version[M]]:
        """Fetch the versions, newest first."""
        return await unchecked(Versions[M].list)(
            Versions(self._session, self._mode), *self._model, cursor=cursor, **options
        )

    async_list: Final = async_operation(list)

    @operation
    async def get(self, id: str | HasId, **options: Unpack[Options]) -> Version[M]:
        """Fetch one."""
        return await unchecked(Versions[M].get)(
            Versions(self._session, self._mode), *self._model, id, **options
        )

    async_get: Final = async_operation(get)

    @operation
    async def delete(self, id: str | HasId, **options: Unpack[Options]) -> bool:
        """Delete one; True if the API has accepted that."""
        return await unchecked(Versions[M].delete)(
            Versions(self._session, self._mode), *self._model, id, **options
        )

    async_delete: Final = async_operation(delete)


defer_annotations(globals())
