"""Models."""

from __future__ import annotations

from ._base.checks import resource_id, text
from ._base.encoding import drop_none
from ._base.operation import async_operation, operation, unchecked
from ._base.record import Record, fetch, fetch_into
from ._base.resource import M, Namespace
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import Expect
from .exceptions import ReplicateException
from .identifier import owner_and_name
from .pagination import page_of
from .prediction import Prediction, Predictions
from .version import Version, Versions, VersionsOfModel, schema_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from types import EllipsisType
    from typing import Any, Final, Literal, NoReturn, Unpack

    from ._base.resource import Options
    from ._base.types import Visibility as Visibility
    from ._predictions.params import PredictionOptions
    from .identifier import HasId, Ref
    from .pagination import Page


class Model(Record[M]):
    """A model (https://replicate.com/docs/reference/http#models.get)."""

    __slots__ = ("_versions",)

    _versions: VersionsOfModel[M]

    url: str
    """The model's page."""
    owner: str
    """The user or organization that owns the model."""
    name: str
    """The model's name, without its owner."""
    description: str | None
    """One sentence about the model."""
    visibility: Visibility
    """Who sees the model."""
    github_url: str | None
    """The address of the source code."""
    paper_url: str | None
    """The address of a paper."""
    license_url: str | None
    """The address of the licence."""
    weights_url: str | None
    """The address of the weights."""
    cover_image_url: str | None
    """The address of the picture on the model's page."""
    run_count: int
    """How often the model was run, by all users."""
    is_official: bool | None
    """Whether Replicate maintains it; an official model is run without a version."""
    created_at: str | None
    """ISO 8601, in UTC."""

    @classmethod
    def _from_name(cls, name: str) -> dict[str, Any] | None:
        owner, slash, name = name.partition("/")
        return {"owner": owner, "name": name} if slash else None

    @property
    def id(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    @property
    def username(self) -> str:
        """The same as `owner`, as in 1.0.7."""
        return self.owner

    @property
    def latest_version(self) -> Version[M] | None:
        """The newest version."""
        return self._view("latest_version", Version[M])

    @property
    def default_example(self) -> Prediction[M] | None:
        """The prediction that the model's page shows."""
        return self._view("default_example", Prediction[M])

    @property
    def versions(self) -> VersionsOfModel[M]:
        """The model's versions."""
        name = (self.owner, self.name)
        if not hasattr(self, "_versions") or self._versions._model != name:
            # Kept, so that what a test replaces stays replaced.
            self._versions = VersionsOfModel[M](self._session, self._mode).of(name)
        return self._versions

    def _repr_html_(self) -> str:
        from ._notebook.records import model

        return model(self, self.latest_version, schema_of)

    @operation
    def reload(self, **options: Unpack[Options]) -> Awaitable[None]:
        """Fetch the model, and update this object.

        API: https://replicate.com/docs/reference/http#models.get

        Raises:
            NotFoundError: The model does not exist any more.

        """
        return fetch_into(self, "GET", ("models", self.owner, self.name), options, Expect.OBJECT)

    async_reload: Final = async_operation(reload)

    def predict(self, *_: object, **__: object) -> NoReturn:
        """Raise, as in 1.0.7: the method was removed in favor of `run`.

        Raises:
            ReplicateException: Always.

        """
        raise ReplicateException(
            "model.predict() was removed: use replicate.run(model, input={...})"
        )


class ModelsPredictions(Namespace[M]):
    """`client.models.predictions`."""

    __slots__ = ()

    @operation
    def create(
        self,
        model: Ref | tuple[str, str],
        input: Mapping[str, Any] | None = None,
        **options: Unpack[PredictionOptions],
    ) -> Awaitable[Prediction[M]]:
        """Run an official model; return at once, or with `wait` when there is output.

        API: https://replicate.com/docs/reference/http#models.predictions.create

        Args:
            model: ``owner/name``, a pair of both, or a model.
            input: The model's inputs; files among them are uploaded.

        Raises:
            NotFoundError: The model does not exist, or is not official.

        """
        predictions: Predictions[M] = Predictions(self._session, self._mode)
        return unchecked(Predictions[M].create)(
            predictions, input=input, model=owner_and_name("model", model), **options
        )

    async_create: Final = async_operation(create)


class Examples(Namespace[M]):
    """`client.models.examples`."""

    __slots__ = ()

    @operation
    def list(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        *,
        cursor: str | EllipsisType = ...,
        **options: Unpack[Options],
    ) -> Awaitable[Page[Prediction[M]]]:
        """Fetch a page of the predictions that a model's author shows as examples.

        API: https://replicate.com/docs/reference/http#models.examples.list

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a model.
            name: The model's name.
            cursor: The `next` or `previous` of another page.

        Raises:
            NotFoundError: The model does not exist.

        """
        target = ("models", *owner_and_name("model", owner, name), "examples")
        return page_of(self, Prediction[M], target, cursor, options)

    async_list: Final = async_operation(list)


class Readmes(Namespace[M]):
    """`client.models.readme`."""

    __slots__ = ()

    @operation
    def get(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[str]:
        """Fetch a model's readme, in Markdown.

        API: https://replicate.com/docs/reference/http#models.readme.get

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a model.
            name: The model's name.

        Raises:
            NotFoundError: The model does not exist, or has no readme.

        """
        target = ("models", *owner_and_name("model", owner, name), "readme")
        return self._transport.finish(self._send("GET", target, Expect.TEXT, options))

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
        """Predictions of official models."""
        resource: ModelsPredictions[M] = self._namespace("predictions", ModelsPredictions)
        return resource

    @property
    def examples(self) -> Examples[M]:
        """Example predictions of models."""
        resource: Examples[M] = self._namespace("examples", Examples)
        return resource

    @property
    def readme(self) -> Readmes[M]:
        """Readmes of models."""
        resource: Readmes[M] = self._namespace("readme", Readmes)
        return resource

    @operation
    def list(
        self,
        cursor: str | EllipsisType = ...,
        *,
        sort_by: Literal["model_created_at", "latest_version_created_at"] | None = None,
        sort_direction: Literal["asc", "desc"] | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[Page[Model[M]]]:
        """Fetch a page of public models, 25 to a page.

        API: https://replicate.com/docs/reference/http#models.list

        Args:
            cursor: The `next` or `previous` of another page.
            sort_by: The time to sort by; ``latest_version_created_at`` if None.
            sort_direction: ``desc`` if None.

        Raises:
            ReplicateError: The request failed.

        """
        query = drop_none(sort_by=sort_by, sort_direction=sort_direction)
        return page_of(self, Model[M], ("models",), cursor, options, query=query)

    async_list: Final = async_operation(list)

    @operation
    def search(self, query: str, **options: Unpack[Options]) -> Awaitable[Page[Model[M]]]:
        """Fetch a page of the public models that match a query.

        API: https://replicate.com/docs/reference/http#models.search

        Args:
            query: The text to search for.

        Raises:
            ReplicateError: The request failed.

        """
        return page_of(self, Model[M], ("models",), ..., options, text=query)

    async_search: Final = async_operation(search)

    @operation
    def get(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[Model[M]]:
        """Fetch a model: ``get("owner/name")`` or ``get("owner", "name")``.

        API: https://replicate.com/docs/reference/http#models.get

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a model.
            name: The model's name.

        Raises:
            NotFoundError: The model does not exist.

        """
        target = ("models", *owner_and_name("model", owner, name))
        return fetch(self, Model[M], "GET", target, options)

    async_get: Final = async_operation(get)

    @operation
    def create(
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
    ) -> Awaitable[Model[M]]:
        """Create a model without a version, as the destination of a push or a training.

        API: https://replicate.com/docs/reference/http#models.create

        Args:
            owner: Your user or organization.
            name: The model's name, unique among the owner's models.
            visibility: ``public`` or ``private``.
            hardware: A `sku` of `hardware.list()`.
            description: A short description.
            github_url: The URL of the source code.
            paper_url: The URL of a paper about the model.
            license_url: The URL of the license.
            cover_image_url: The URL of an image or a video for the model's page.

        Raises:
            ReplicateError: The model could not be created.

        """
        body = {
            "owner": text("owner", owner),
            "name": name,
            "visibility": visibility,
            "hardware": resource_id("hardware", hardware),
            **drop_none(
                description=description,
                github_url=github_url,
                paper_url=paper_url,
                license_url=license_url,
                cover_image_url=cover_image_url,
            ),
        }
        return fetch(self, Model[M], "POST", ("models",), options, body)

    async_create: Final = async_operation(create)

    @operation
    def update(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        *,
        description: str | None = None,
        readme: str | None = None,
        github_url: str | None = None,
        paper_url: str | None = None,
        license_url: str | None = None,
        weights_url: str | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[Model[M]]:
        """Update the metadata of a model; None leaves a field as it is.

        API: https://replicate.com/docs/reference/http#models.update

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a model.
            name: The model's name.
            description: A short description.
            readme: The readme, in Markdown.
            github_url: The URL of the source code.
            paper_url: The URL of a paper about the model.
            license_url: The URL of the license.
            weights_url: The URL of the weights.

        Raises:
            NotFoundError: The model does not exist.

        """
        target = ("models", *owner_and_name("model", owner, name))
        body = drop_none(
            description=description,
            readme=readme,
            github_url=github_url,
            paper_url=paper_url,
            license_url=license_url,
            weights_url=weights_url,
        )
        return fetch(self, Model[M], "PATCH", target, options, body)

    async_update: Final = async_operation(update)

    @operation
    def delete(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[bool]:
        """Delete a private model of yours that has no versions.

        API: https://replicate.com/docs/reference/http#models.delete

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a model.
            name: The model's name.

        Returns:
            True.

        Raises:
            NotFoundError: The model does not exist.
            APIStatusError: The model is public, or has versions.

        """
        return self._delete(("models", *owner_and_name("model", owner, name)), options)

    async_delete: Final = async_operation(delete)


defer_annotations(globals())
