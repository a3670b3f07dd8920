"""Versions of models."""

from __future__ import annotations

from ._core import Expect
from ._operation import M, Namespace, awaitable, operation
from ._record import Record, moment
from ._typing import TYPE_CHECKING
from .identifier import pair
from .pagination import page_of

if TYPE_CHECKING:
    from types import EllipsisType
    from typing import Any, Unpack

    from ._operation import Options
    from .identifier import Ref
    from .pagination import Page


class Version(Record):
    """A version of a model (https://replicate.com/docs/reference/http#models.versions.get)."""

    __slots__ = ()

    id: str
    """64 hexadecimal digits."""
    created_at: str | None
    """ISO 8601, in UTC."""
    created = moment("created_at")
    cog_version: str | None
    openapi_schema: dict[str, Any] | None
    """Describes the inputs and the output, under ``components.schemas``."""

    @property
    def is_iterator(self) -> bool:
        """Whether the output is a list that grows."""
        return self._output.get("x-cog-array-type") == "iterator"

    @property
    def is_text(self) -> bool:
        """Whether the parts of the output are to be joined."""
        return self.is_iterator and self._output.get("x-cog-array-display") == "concatenate"

    @property
    def _output(self) -> dict[str, Any]:
        schema = self.openapi_schema or {}
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
        model_owner: str | None = None,
        model_name: str | None = None,
        **options: Unpack[Options],
    ) -> Page[Version]:
        """Fetch a model's versions, newest first. Official models may have none."""
        model = pair("model", owner, name, spelled=(model_owner, model_name))
        return await page_of(self, Version, ("models", *model, "versions"), cursor, options)

    async_list = awaitable(list)

    @operation
    async def get(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        version_id: str = "",
        *,
        model_owner: str | None = None,
        model_name: str | None = None,
        **options: Unpack[Options],
    ) -> Version:
        """Fetch a version of a model."""
        model = pair("model", owner, name, spelled=(model_owner, model_name))
        pending = self._send("GET", ("models", *model, "versions", version_id), Expect.OBJECT, options)
        return Version._of(await self._transport.finish(pending), self._session)

    async_get = awaitable(get)

    @operation
    async def delete(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        version_id: str = "",
        *,
        model_owner: str | None = None,
        model_name: str | None = None,
        **options: Unpack[Options],
    ) -> bool:
        """Delete a version of a private model of yours, and what it made; True if the API has accepted that."""
        model = pair("model", owner, name, spelled=(model_owner, model_name))
        pending = self._send("DELETE", ("models", *model, "versions", version_id), Expect.STATUS, options)
        return await self._transport.finish(pending) < 300

    async_delete = awaitable(delete)


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
    async def list(self, *, cursor: str | EllipsisType = ..., **options: Unpack[Options]) -> Page[Version]:
        """Fetch the versions, newest first."""
        return await Versions.list(Versions(self._session, self._mode), *self._model, cursor=cursor, **options)

    async_list = awaitable(list)

    @operation
    async def get(self, id: str, **options: Unpack[Options]) -> Version:
        """Fetch one."""
        return await Versions.get(Versions(self._session, self._mode), *self._model, id, **options)

    async_get = awaitable(get)

    @operation
    async def delete(self, id: str, **options: Unpack[Options]) -> bool:
        """Delete one; True if the API has accepted that."""
        return await Versions.delete(Versions(self._session, self._mode), *self._model, id, **options)

    async_delete = awaitable(delete)
