"""Models: what is run."""

from __future__ import annotations

from ._base.checks import identity, text
from ._base.operation import M, Namespace, async_operation, drop_none, operation, unchecked
from ._base.record import Record
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import Expect
from .exceptions import ReplicateException
from .identifier import named, one_of, pair
from .pagination import page_of
from .prediction import Prediction, Predictions
from .version import Version, Versions, VersionsOfModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import EllipsisType
    from typing import Any, Final, Literal, NoReturn, Unpack

    from ._base.operation import Options
    from ._base.types import Visibility as Visibility
    from ._predictions.params import PredictionOptions
    from .identifier import HasId, ModelOptions, Ref
    from .pagination import Page


class Model(Record[M]):
    """A model (https://replicate.com/docs/reference/http#models.get)."""

    __slots__ = ("_versions",)

    _versions: VersionsOfModel[M]

    url: str
    owner: str
    name: str
    description: str | None
    visibility: Visibility
    github_url: str | None
    paper_url: str | None
    license_url: str | None
    weights_url: str | None
    cover_image_url: str | None
    run_count: int
    is_official: bool | None
    """Whether Replicate keeps it running: it needs no version."""
    created_at: str | None

    @classmethod
    def _named_by(cls, name: str) -> dict[str, Any] | None:
        owner, slash, name = name.partition("/")
        return {"owner": owner, "name": name} if slash else None

    @property
    def id(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    @property
    def username(self) -> str:
        """The same as `owner`; 1.0.7 has it."""
        return self.owner

    @property
    def latest_version(self) -> Version[M] | None:
        """Its newest version."""
        return self._view("latest_version", Version[M])

    @property
    def default_example(self) -> Prediction[M] | None:
        """The prediction that its page shows."""
        return self._view("default_example", Prediction[M])

    @property
    def versions(self) -> VersionsOfModel[M]:
        """Its versions."""
        name = (self.owner, self.name)
        if not hasattr(self, "_versions") or self._versions._model != name:
            # Kept, so that what a test replaces stays replaced.
            self._versions = VersionsOfModel[M](self._session, self._mode).of(name)
        return self._versions

    @operation
    async def reload(self, **options: Unpack[Options]) -> None:
        """Fetch the present state into this object."""
        pending = self._send("GET", ("models", self.owner, self.name), Expect.OBJECT, options)
        self._update(await self._transport.finish(pending))

    async_reload: Final = async_operation(reload)

    def predict(self, *_: object, **__: object) -> NoReturn:
        """Not here any more, as in 1.0.7: use `run`."""
        raise ReplicateException(
            "model.predict() was removed: use replicate.run(model, input={...})"
        )


class ModelsPredictions(Namespace[M]):
    """`client.models.predictions`."""

    __slots__ = ()

    @operation
    async def create(
        self,
        model: Ref | tuple[str, str] | None = None,
        input: Mapping[str, Any] | None = None,
        *,
        model_owner: str | None = None,
        model_name: str | None = None,
        **options: Unpack[PredictionOptions],
    ) -> Prediction[M]:
        """Start the newest version of a model; see `Predictions.create`."""
        owner, name = pair("model", model, None, spelled=(model_owner, model_name))
        predictions: Predictions[M] = Predictions(self._session, self._mode)
        return await unchecked(Predictions[M].create)(
            predictions, input=input, model=(owner, name), **options
        )

    async_create: Final = async_operation(create)


class Examples(Namespace[M]):
    """`client.models.examples`."""

    __slots__ = ()

    @operation
    async def list(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        *,
        cursor: str | EllipsisType = ...,
        **options: Unpack[ModelOptions],
    ) -> Page[Prediction[M]]:
        """Fetch the predictions that a model's author shows as examples."""
        model = named("model", owner, name, options)
        return await page_of(self, Prediction[M], ("models", *model, "examples"), cursor, options)

    async_list: Final = async_operation(list)


class Readmes(Namespace[M]):
    """`client.models.readme`."""

    __slots__ = ()

    @operation
    async def get(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        **options: Unpack[ModelOptions],
    ) -> str:
        """Fetch a model's readme, in Markdown."""
        model = named("model", owner, name, options)
        return await self._transport.finish(
            self._send("GET", ("models", *model, "readme"), Expect.TEXT, options)
        )

    async_get: Final = async_operation(get)


class Models(Namespace[M]):
    """`client.models`."""

    __slots__ = ()

    @property
    def versions(self) -> Versions[M]:
        """Versions of models."""
        resource: Versions[M] = self._namespace("versions", Versions)
        return resource

    @property
    def predictions(self) -> ModelsPredictions[M]:
        """Predictions of models."""
        resource: ModelsPredictions[M] = self._namespace("predictions", ModelsPredictions)
        return resource

    @property
    def examples(self) -> Examples[M]:
        """Example predictions."""
        resource: Examples[M] = self._namespace("examples", Examples)
        return resource

    @property
    def readme(self) -> Readmes[M]:
        """Readmes."""
        resource: Readmes[M] = self._namespace("readme", Readmes)
        return resource

    @operation
    async def list(
        self,
        cursor: str | EllipsisType = ...,
        *,
        sort_by: Literal["model_created_at", "latest_version_created_at"] | None = None,
        sort_direction: Literal["asc", "desc"] | None = None,
        **options: Unpack[Options],
    ) -> Page[Model[M]]:
        """Fetch a page of public models, 25 to a page.

        Args:
            cursor: The `next` or `previous` of another page.
            sort_by: The API's own order is ``latest_version_created_at``.
            sort_direction: ``desc`` if not given.

        """
        query = drop_none(sort_by=sort_by, sort_direction=sort_direction)
        return await page_of(self, Model[M], ("models",), cursor, options, query=query)

    async_list: Final = async_operation(list)

    @operation
    async def search(
        self, query: str | None = None, *, body: str | None = None, **options: Unpack[Options]
    ) -> Page[Model[M]]:
        """Fetch the public models that fit a query; 2.0 calls it `body`."""
        text = one_of(query=query, body=body)
        return await page_of(self, Model[M], ("models",), ..., options, text=text)

    async_search: Final = async_operation(search)

    @operation
    async def get(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        *,
        key: str | None = None,
        **options: Unpack[ModelOptions],
    ) -> Model[M]:
        """Fetch a model: ``get("owner/name")`` or ``get("owner", "name")``."""
        model = named("model", owner if key is None else key, name, options)
        pending = self._send("GET", ("models", *model), Expect.OBJECT, options)
        return Model._of(await self._transport.finish(pending), self._session)

    async_get: Final = async_operation(get)

    @operation
    async def create(
        self,
        owner: str,
        name: str,
        *,
        visibility: Visibility,
        hardware: str | HasId,
        description: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        cover_image_url: str | None = None,
        **options: Unpack[Options],
    ) -> Model[M]:
        """Make a model without a version, to push to or to train into.

        Args:
            owner: You, or an organization of yours.
            name: Unique among the owner's models.
            visibility: Who can see and run it.
            hardware: A `sku` of `hardware.list()`.
            description: A sentence.
            github_url: Its source.
            paper_url: The paper about it.
            license_url: Its license.
            cover_image_url: A picture or film for its page.

        """
        body = {
            "owner": text("owner", owner),
            "name": name,
            "visibility": visibility,
            "hardware": identity("hardware", hardware),
            **drop_none(
                description=description,
                github_url=github_url,
                paper_url=paper_url,
                license_url=license_url,
                cover_image_url=cover_image_url,
            ),
        }
        data = await self._transport.finish(
            self._send("POST", ("models",), Expect.OBJECT, options, body=body)
        )
        return Model._of(data, self._session)

    async_create: Final = async_operation(create)

    @operation
    async def update(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        *,
        description: str | None = None,
        readme: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        weights_url: str | None = None,
        **options: Unpack[ModelOptions],
    ) -> Model[M]:
        """Change what is said about a model; what is not given stays."""
        model = named("model", owner, name, options)
        body = drop_none(
            description=description,
            readme=readme,
            github_url=github_url,
            paper_url=paper_url,
            license_url=license_url,
            weights_url=weights_url,
        )
        pending = self._send("PATCH", ("models", *model), Expect.OBJECT, options, body=body)
        return Model._of(await self._transport.finish(pending), self._session)

    async_update: Final = async_operation(update)

    @operation
    async def delete(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        *,
        key: str | None = None,
        **options: Unpack[ModelOptions],
    ) -> bool:
        """Delete a private model of yours that has no versions; True if it is gone."""
        model = named("model", owner if key is None else key, name, options)
        return (
            await self._transport.finish(
                self._send("DELETE", ("models", *model), Expect.STATUS, options)
            )
            < 300
        )

    async_delete: Final = async_operation(delete)


defer_annotations(globals())
