"""Versions of models."""

from __future__ import annotations

from ._base.checks import resource_id
from ._base.operation import async_operation, operation, unchecked
from ._base.record import Record, fetch, timestamp_property
from ._base.resource import M, Namespace
from ._base.typing import TYPE_CHECKING, defer_annotations, is_array, is_object
from ._core import Expect
from .identifier import owner_and_name
from .pagination import page_of

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import EllipsisType
    from typing import Any, Final, Unpack

    from ._base.resource import Options
    from .identifier import HasId, Ref
    from .pagination import Page


class Version(Record[M]):
    """A version of a model (https://replicate.com/docs/reference/http#models.versions.get)."""

    __slots__ = ()

    id: str
    """64 hexadecimal digits."""
    created_at: str | None
    """ISO 8601, in UTC."""
    created: Final = timestamp_property("created_at")
    cog_version: str | None
    """The version of Cog that the model was built with."""
    openapi_schema: dict[str, Any] | None
    """OpenAPI; ``components.schemas`` describes the inputs and the output."""

    @property
    def is_iterator(self) -> bool:
        """Whether the output is a list that grows while the model runs."""
        schema = make_schema_backwards_compatible(self.openapi_schema or {}, self.cog_version or "")
        return bool(_output_of(schema).get("x-cog-array-type") == "iterator")

    @property
    def is_text(self) -> bool:
        """Whether the items of the output are parts of one text."""
        return (
            self.is_iterator
            and _output_of(self.openapi_schema or {}).get("x-cog-array-display") == "concatenate"
        )

    def _repr_html_(self) -> str:
        from ._notebook.records import version

        return version(self, schema_of)


# Schemas that older versions of Cog wrote do not mark lists that grow.
_FIRST_WITH_ARRAY_TYPES = (0, 3, 9)


def version_has_no_array_type(cog_version: str) -> bool | None:
    """Return whether a version of Cog is older than the field ``x-cog-array-type`` in schemas.

    Args:
        cog_version: The version of Cog that built the model.

    Returns:
        A bool; None if `cog_version` is not a version.

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
    numbers = [int(number) for number in parts["release"].split(".")]
    release = (*numbers, 0, 0)[: max(3, len(numbers))]
    is_prerelease = bool(parts["before"] or parts["dev"])
    return release < _FIRST_WITH_ARRAY_TYPES or (
        release == _FIRST_WITH_ARRAY_TYPES and is_prerelease
    )


def make_schema_backwards_compatible(schema: dict[str, Any], cog_version: str) -> dict[str, Any]:
    """Return a schema with an ``x-cog-array-type`` where an old version of Cog left it out.

    Args:
        schema: The OpenAPI schema of a version; it is not changed.
        cog_version: The version of Cog that built the model.

    """
    output = _output_of(schema)
    if output.get("type") != "array" or not version_has_no_array_type(cog_version):
        return schema
    components = schema["components"]
    schemas = {**components["schemas"], "Output": {**output, "x-cog-array-type": "iterator"}}
    return {**schema, "components": {**components, "schemas": schemas}}


# Schemas that 2.0 keeps though all references to them are replaced.
_ROOT_SCHEMAS = ("Input", "Output", "TrainingInput", "TrainingOutput")


def schema_of(version: Version[Any]) -> dict[str, Any]:
    """Return a version's schema with references replaced by what they refer to, as 2.0 does.

    The schemas that were referred to are left out, and so are the paths. A schema that contains
    itself is kept, with the reference to it.
    """
    schema = make_schema_backwards_compatible(
        version.openapi_schema or {}, version.cog_version or ""
    )
    resolved: dict[str, Any] = {}
    result: dict[str, Any] = {**_without_references(schema, schema, resolved), "paths": {}}
    components = result.get("components")
    if not is_object(components) or not is_object(components.get("schemas")):
        return result
    schemas: dict[str, Any] = components["schemas"]
    kept = {
        name: value
        for name, value in schemas.items()
        if name in _ROOT_SCHEMAS or _reference_to(name) not in resolved
    }
    # Find the references that were left, and keep the schemas they refer to.
    pending = [*kept.values()]
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        if id(value) in seen or not (is_object(value) or is_array(value)):
            continue
        seen.add(id(value))
        ref = value.get("$ref") if is_object(value) else None
        name = ref.removeprefix(_reference_to("")) if isinstance(ref, str) else ""
        if name in schemas and name not in kept:
            kept[name] = schemas[name]
            pending.append(schemas[name])
        pending.extend(value.values() if is_object(value) else value)
    return {**result, "components": {**components, "schemas": kept}}


def _reference_to(name: str) -> str:
    return f"#/components/schemas/{name}"


def _without_references(value: Any, root: dict[str, Any], resolved: dict[str, Any]) -> Any:
    if is_array(value):
        return [_without_references(item, root, resolved) for item in value]
    if not is_object(value):
        return value
    ref = value.get("$ref")
    if not isinstance(ref, str) or not ref.startswith("#/"):
        return {key: _without_references(item, root, resolved) for key, item in value.items()}
    if ref not in resolved:
        # Until it is resolved, a reference stands for itself: a schema may contain itself.
        resolved[ref] = value
        target: Any = root
        for key in ref[2:].split("/"):
            target = target.get(key) if is_object(target) else None
        if target is not None:
            resolved[ref] = _without_references(target, root, resolved)
    return resolved[ref]


def _output_of(schema: dict[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = schema.get("components", {}).get("schemas", {}).get("Output", {})
    return output


class Versions(Namespace[M]):
    """`client.models.versions`."""

    __slots__ = ()

    @operation
    def list(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        *,
        cursor: str | EllipsisType = ...,
        **options: Unpack[Options],
    ) -> Awaitable[Page[Version[M]]]:
        """Fetch a page of a model's versions, newest first; an official model may have none.

        API: https://replicate.com/docs/reference/http#models.versions.list

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a model.
            name: The model's name.
            cursor: The `next` or `previous` of another page.

        Raises:
            NotFoundError: The model does not exist.

        """
        target = ("models", *owner_and_name("model", owner, name), "versions")
        return page_of(self, Version[M], target, cursor, options)

    async_list: Final = async_operation(list)

    @operation
    def get(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        version_id: str | HasId = "",
        **options: Unpack[Options],
    ) -> Awaitable[Version[M]]:
        """Fetch a version of a model.

        API: https://replicate.com/docs/reference/http#models.versions.get

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a model.
            name: The model's name.
            version_id: The version's id, or a version.

        Raises:
            NotFoundError: The model or the version does not exist.

        """
        target = _target(owner, name, version_id)
        return fetch(self, Version[M], "GET", target, options, expect=Expect.RECORD)

    async_get: Final = async_operation(get)

    @operation
    def delete(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        version_id: str | HasId = "",
        **options: Unpack[Options],
    ) -> Awaitable[bool]:
        """Delete a version of a private model of yours, with its predictions and their files.

        The API carries out the deletion within a few minutes.

        API: https://replicate.com/docs/reference/http#models.versions.delete

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a model.
            name: The model's name.
            version_id: The version's id, or a version.

        Returns:
            True: The API accepted the request.

        Raises:
            NotFoundError: The model or the version does not exist.
            APIStatusError: The version is in use, or others have run it.

        """
        return self._delete(_target(owner, name, version_id), options)

    async_delete: Final = async_operation(delete)


def _target(
    owner: Ref | tuple[str, str] | None, name: str | None, version_id: str | HasId
) -> tuple[str, ...]:
    model = owner_and_name("model", owner, name)
    return ("models", *model, "versions", resource_id("version_id", version_id))


class VersionsOfModel(Namespace[M]):
    """`model.versions`: the versions of one model."""

    __slots__ = ("_model",)

    _model: tuple[str, str]

    def of(self, model: tuple[str, str]) -> VersionsOfModel[M]:
        """Set the owner and the name of the model; return self."""
        self._model = model
        return self

    def _in(self, mode: Any) -> Any:
        return type(self)(self._session, mode).of(self._model)

    @operation
    def list(
        self, *, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> Awaitable[Page[Version[M]]]:
        """Fetch a page of the model's versions, newest first; see `Versions.list`.

        API: https://replicate.com/docs/reference/http#models.versions.list

        Args:
            cursor: The `next` or `previous` of another page.

        Raises:
            NotFoundError: The model does not exist.

        """
        return unchecked(Versions[M].list)(
            Versions(self._session, self._mode), *self._model, cursor=cursor, **options
        )

    async_list: Final = async_operation(list)

    @operation
    def get(self, id: str | HasId, **options: Unpack[Options]) -> Awaitable[Version[M]]:
        """Fetch a version of the model; see `Versions.get`.

        API: https://replicate.com/docs/reference/http#models.versions.get

        Args:
            id: The version's id, or a version.

        Raises:
            NotFoundError: The version does not exist.

        """
        return unchecked(Versions[M].get)(
            Versions(self._session, self._mode), *self._model, id, **options
        )

    async_get: Final = async_operation(get)

    @operation
    def delete(self, id: str | HasId, **options: Unpack[Options]) -> Awaitable[bool]:
        """Delete a version of the model; see `Versions.delete`.

        API: https://replicate.com/docs/reference/http#models.versions.delete

        Args:
            id: The version's id, or a version.

        Raises:
            NotFoundError: The version does not exist.

        """
        return unchecked(Versions[M].delete)(
            Versions(self._session, self._mode), *self._model, id, **options
        )

    async_delete: Final = async_operation(delete)


defer_annotations(globals())
