"""Deployments: models kept ready under a name of yours."""

from __future__ import annotations

from ._base.checks import identity
from ._base.operation import M, Namespace, async_operation, drop_none, operation, unchecked
from ._base.record import Record, moment
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import Expect
from .account import Account
from .identifier import named, owner_and_name, pair
from .pagination import page_of
from .prediction import Prediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import EllipsisType
    from typing import Any, Final, Unpack

    from ._base.operation import Async, Options, Sync
    from ._predictions.params import PredictionOptions
    from .identifier import DeploymentOptions, HasId, Ref
    from .pagination import Page


class Configuration(Record[M]):
    """What a release runs on."""

    __slots__ = ()

    hardware: str
    min_instances: int
    max_instances: int


class Release(Record[M]):
    """What a deployment runs."""

    __slots__ = ()

    number: int
    """Counts up with each change."""
    model: str
    """``owner/name``."""
    version: str
    created_at: str | None
    """ISO 8601, in UTC."""
    created: Final = moment("created_at")

    @property
    def created_by(self) -> Account[M] | None:
        """Who made it."""
        return self._view("created_by", Account[M])

    @property
    def configuration(self) -> Configuration[M] | None:
        """What it runs on."""
        return self._view("configuration", Configuration[M])


# Where 1.0.7 has it; inside the class, the name would hide the type.
Release.Configuration = Configuration  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]


class Deployment(Record[M]):
    """A deployment (https://replicate.com/docs/reference/http#deployments.get)."""

    __slots__ = ("_predictions",)

    owner: str
    name: str
    _predictions: DeploymentPredictions[M]

    @property
    def id(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    @property
    def username(self) -> str:
        """The same as `owner`; 1.0.7 has it."""
        return self.owner

    @property
    def current_release(self) -> Release[M] | None:
        """What it runs."""
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
        """Say whose."""
        self._deployment = deployment
        return self

    def _in(self, mode: type[Sync | Async]) -> Any:
        return type(self)(self._session, mode).of(self._deployment)

    @operation
    async def create(
        self, input: Mapping[str, Any] | None = None, **options: Unpack[PredictionOptions]
    ) -> Prediction[M]:
        """Start the deployment; see `Predictions.create`."""
        predictions: Predictions[M] = Predictions(self._session, self._mode)
        return await unchecked(Predictions[M].create)(
            predictions, input=input, deployment=self._deployment, **options
        )

    async_create: Final = async_operation(create)


class DeploymentsPredictions(Namespace[M]):
    """`client.deployments.predictions`."""

    __slots__ = ()

    @operation
    async def create(
        self,
        deployment: Ref | tuple[str, str] | None = None,
        input: Mapping[str, Any] | None = None,
        *,
        deployment_owner: str | None = None,
        deployment_name: str | None = None,
        **options: Unpack[PredictionOptions],
    ) -> Prediction[M]:
        """Start a deployment; see `Predictions.create`."""
        pair_ = pair("deployment", deployment, None, spelled=(deployment_owner, deployment_name))
        predictions: Predictions[M] = Predictions(self._session, self._mode)
        return await unchecked(Predictions[M].create)(
            predictions, input=input, deployment=pair_, **options
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
    async def list(
        self, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> Page[Deployment[M]]:
        """Fetch a page of your deployments."""
        return await page_of(self, Deployment[M], ("deployments",), cursor, options)

    async_list: Final = async_operation(list)

    @operation
    async def get(
        self,
        owner: Ref | tuple[str, str] | None = None,
        name: str | None = None,
        **options: Unpack[DeploymentOptions],
    ) -> Deployment[M]:
        """Fetch a deployment: ``get("owner/name")`` or ``get("owner", "name")``."""
        target = ("deployments", *named("deployment", owner, name, options))
        return Deployment._of(
            await self._transport.finish(self._send("GET", target, Expect.OBJECT, options)),
            self._session,
        )

    async_get: Final = async_operation(get)

    @operation
    async def create(
        self,
        name: str,
        model: Ref | tuple[str, str],
        version: str | HasId,
        hardware: str | HasId,
        min_instances: int,
        max_instances: int,
        **options: Unpack[Options],
    ) -> Deployment[M]:
        """Make a deployment.

        Args:
            name: Its name; your own ``owner/`` before it is taken off.
            model: ``owner/name``.
            version: A version of the model.
            hardware: A `sku` of `hardware.list()`.
            min_instances: 0 to 5; with 0 it may have to be booted.
            max_instances: 0 to 20.

        """
        body: dict[str, object] = {
            "name": name.rpartition("/")[2],
            "model": "/".join(owner_and_name("model", model)),
            "version": identity("version", version),
            "hardware": identity("hardware", hardware),
            "min_instances": min_instances,
            "max_instances": max_instances,
        }
        data = await self._transport.finish(
            self._send("POST", ("deployments",), Expect.OBJECT, options, body=body)
        )
        return Deployment._of(data, self._session)

    async_create: Final = async_operation(create)

    @operation
    async def update(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        *,
        model: Ref | tuple[str, str] | None = None,
        version: str | HasId | None = None,
        hardware: str | HasId | None = None,
        min_instances: int | None = None,
        max_instances: int | None = None,
        **options: Unpack[DeploymentOptions],
    ) -> Deployment[M]:
        """Release a deployment anew; what is not given stays."""
        target = ("deployments", *named("deployment", owner, name, options))
        body = drop_none(
            model=None if model is None else "/".join(owner_and_name("model", model)),
            version=version,
            hardware=hardware,
            min_instances=min_instances,
            max_instances=max_instances,
        )
        pending = self._send("PATCH", target, Expect.OBJECT, options, body=body)
        return Deployment._of(await self._transport.finish(pending), self._session)

    async_update: Final = async_operation(update)

    @operation
    async def delete(
        self,
        owner: Ref | None = None,
        name: str | None = None,
        **options: Unpack[DeploymentOptions],
    ) -> bool:
        """Delete a deployment that is offline and was not used for 15 minutes; True if it is gone."""
        target = ("deployments", *named("deployment", owner, name, options))
        return (
            await self._transport.finish(self._send("DELETE", target, Expect.STATUS, options)) < 300
        )

    async_delete: Final = async_operation(delete)


defer_annotations(globals())
