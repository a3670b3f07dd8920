"""Deployments: models kept ready under a name of your own."""

from __future__ import annotations

from ._base.checks import resource_id
from ._base.encoding import drop_none
from ._base.operation import async_operation, operation, unchecked
from ._base.record import Record, fetch, timestamp_property
from ._base.resource import M, Namespace
from ._base.typing import TYPE_CHECKING, defer_annotations
from .account import Account
from .identifier import owner_and_name
from .pagination import page_of
from .prediction import Prediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from types import EllipsisType
    from typing import Any, Final, Unpack

    from ._base.resource import Options
    from ._base.session import Async, Sync
    from ._predictions.params import PredictionOptions
    from .identifier import HasId, Ref
    from .pagination import Page


class Configuration(Record[M]):
    """The hardware and the number of instances of a release."""

    __slots__ = ()

    hardware: str
    min_instances: int
    max_instances: int


class Release(Record[M]):
    """A version of a deployment's settings."""

    __slots__ = ()

    number: int
    """Incremented by each update."""
    model: str
    """``owner/name``."""
    version: str
    """The model's version; 64 hexadecimal digits."""
    created_at: str | None
    """ISO 8601, in UTC."""
    created: Final = timestamp_property("created_at")

    @property
    def created_by(self) -> Account[M] | None:
        """The account that created the release."""
        return self._view("created_by", Account[M])

    @property
    def configuration(self) -> Configuration[M] | None:
        """The hardware and the number of instances."""
        return self._view("configuration", Configuration[M])


# Where 1.0.7 has it; inside the class, the name would hide the type.
Release.Configuration = Configuration  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]


class Deployment(Record[M]):
    """A deployment (https://replicate.com/docs/reference/http#deployments.get)."""

    __slots__ = ("_predictions",)

    owner: str
    """The user or organization that owns the deployment."""
    name: str
    """The deployment's name, without its owner."""
    _predictions: DeploymentPredictions[M]

    @property
    def id(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    @property
    def username(self) -> str:
        """The same as `owner`, as in 1.0.7."""
        return self.owner

    @property
    def current_release(self) -> Release[M] | None:
        """The release that runs now."""
        return self._view("current_release", Release[M])

    @property
    def predictions(self) -> DeploymentPredictions[M]:
        """Predictions of this deployment."""
        name = (self.owner, self.name)
        if not hasattr(self, "_predictions") or self._predictions._deployment != name:
            # Kept, so that what a test replaces stays replaced.
            self._predictions = DeploymentPredictions[M](self._session, self._mode).of(name)
        return self._predictions


Deployment.Release = Release  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - as above


class DeploymentPredictions(Namespace[M]):
    """`deployment.predictions`."""

    __slots__ = ("_deployment",)

    _deployment: tuple[str, str]

    def of(self, deployment: tuple[str, str]) -> DeploymentPredictions[M]:
        """Set the owner and the name of the deployment; return self."""
        self._deployment = deployment
        return self

    def _in(self, mode: type[Sync | Async]) -> Any:
        return type(self)(self._session, mode).of(self._deployment)

    @operation
    def create(
        self, input: Mapping[str, Any] | None = None, **options: Unpack[PredictionOptions]
    ) -> Awaitable[Prediction[M]]:
        """Run the deployment; return at once, or with `wait` when there is output.

        API: https://replicate.com/docs/reference/http#deployments.predictions.create

        Args:
            input: The model's inputs; files among them are uploaded.

        Raises:
            ReplicateError: The prediction could not be created.

        """
        predictions: Predictions[M] = Predictions(self._session, self._mode)
        return unchecked(Predictions[M].create)(
            predictions, input=input, deployment=self._deployment, **options
        )

    async_create: Final = async_operation(create)


class DeploymentsPredictions(Namespace[M]):
    """`client.deployments.predictions`."""

    __slots__ = ()

    @operation
    def create(
        self,
        deployment: Ref | tuple[str, str],
        input: Mapping[str, Any] | None = None,
        **options: Unpack[PredictionOptions],
    ) -> Awaitable[Prediction[M]]:
        """Run a deployment; return at once, or with `wait` when there is output.

        API: https://replicate.com/docs/reference/http#deployments.predictions.create

        Args:
            deployment: ``owner/name``, a pair of both, or a deployment.
            input: The model's inputs; files among them are uploaded.

        Raises:
            NotFoundError: The deployment does not exist.

        """
        predictions: Predictions[M] = Predictions(self._session, self._mode)
        return unchecked(Predictions[M].create)(
            predictions,
            input=input,
            deployment=owner_and_name("deployment", deployment),
            **options,
        )

    async_create: Final = async_operation(create)


class Deployments(Namespace[M]):
    """`client.deployments`."""

    __slots__ = ()

    @property
    def predictions(self) -> DeploymentsPredictions[M]:
        """Predictions of deployments."""
        resource: DeploymentsPredictions[M] = self._namespace("predictions", DeploymentsPredictions)
        return resource

    @operation
    def list(
        self, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> Awaitable[Page[Deployment[M]]]:
        """Fetch a page of your deployments.

        API: https://replicate.com/docs/reference/http#deployments.list

        Args:
            cursor: The `next` or `previous` of another page.

        Raises:
            ReplicateError: The request failed.

        """
        return page_of(self, Deployment[M], ("deployments",), cursor, options)

    async_list: Final = async_operation(list)

    @operation
    def get(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[Deployment[M]]:
        """Fetch a deployment: ``get("owner/name")`` or ``get("owner", "name")``.

        API: https://replicate.com/docs/reference/http#deployments.get

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a deployment.
            name: The deployment's name.

        Raises:
            NotFoundError: The deployment does not exist.

        """
        target = ("deployments", *owner_and_name("deployment", owner, name))
        return fetch(self, Deployment[M], "GET", target, options)

    async_get: Final = async_operation(get)

    @operation
    def create(
        self,
        name: str,
        model: Ref | tuple[str, str],
        version: str | HasId,
        hardware: str | HasId,
        min_instances: int,
        max_instances: int,
        **options: Unpack[Options],
    ) -> Awaitable[Deployment[M]]:
        """Create a deployment.

        API: https://replicate.com/docs/reference/http#deployments.create

        Args:
            name: The deployment's name; an ``owner/`` before it is removed.
            model: ``owner/name``, a pair of both, or a model.
            version: A version of the model, or its id.
            hardware: A `sku` of `hardware.list()`.
            min_instances: 0 to 5; with 0, the first prediction after a pause waits for a boot.
            max_instances: 0 to 20.

        Raises:
            ReplicateError: The deployment could not be created.

        """
        body: dict[str, object] = {
            "name": name.rpartition("/")[2],
            "model": "/".join(owner_and_name("model", model)),
            "version": resource_id("version", version),
            "hardware": resource_id("hardware", hardware),
            "min_instances": min_instances,
            "max_instances": max_instances,
        }
        return fetch(self, Deployment[M], "POST", ("deployments",), options, body)

    async_create: Final = async_operation(create)

    @operation
    def update(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        *,
        model: Ref | tuple[str, str] | None = None,
        version: str | HasId | None = None,
        hardware: str | HasId | None = None,
        min_instances: int | None = None,
        max_instances: int | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[Deployment[M]]:
        """Update a deployment, which creates a release; None leaves a setting as it is.

        API: https://replicate.com/docs/reference/http#deployments.update

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a deployment.
            name: The deployment's name.
            model: ``owner/name``, a pair of both, or a model.
            version: A version of the model, or its id.
            hardware: A `sku` of `hardware.list()`.
            min_instances: 0 to 5; with 0, the first prediction after a pause waits for a boot.
            max_instances: 0 to 20.

        Raises:
            NotFoundError: The deployment does not exist.

        """
        target = ("deployments", *owner_and_name("deployment", owner, name))
        body = drop_none(
            model=None if model is None else "/".join(owner_and_name("model", model)),
            version=version,
            hardware=hardware,
            min_instances=min_instances,
            max_instances=max_instances,
        )
        return fetch(self, Deployment[M], "PATCH", target, options, body)

    async_update: Final = async_operation(update)

    @operation
    def delete(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> Awaitable[bool]:
        """Delete a deployment that is offline and has not been used for 15 minutes.

        API: https://replicate.com/docs/reference/http#deployments.delete

        Args:
            owner: The owner; without `name`, ``owner/name``, a pair of both, or a deployment.
            name: The deployment's name.

        Returns:
            True.

        Raises:
            NotFoundError: The deployment does not exist.
            APIStatusError: The deployment is in use.

        """
        return self._delete(("deployments", *owner_and_name("deployment", owner, name)), options)

    async_delete: Final = async_operation(delete)


defer_annotations(globals())
