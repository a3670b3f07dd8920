"""Trainings, each of which makes a new version of a model."""

from __future__ import annotations

from ._base.arguments import RULES, checker
from ._base.checks import resource_id
from ._base.encoding import drop_none
from ._base.operation import async_operation, operation, unchecked
from ._base.record import fetch
from ._base.resource import M, Namespace
from ._base.typing import TYPE_CHECKING, defer_annotations
from ._core import Expect
from ._predictions.job import Job, add_created
from ._predictions.params import TRAINING_OPTIONS, body_fields, split_options
from ._predictions.polling import wait_until_done
from .exceptions import ReplicateError
from .identifier import owner_and_name, resolve
from .pagination import page_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from types import EllipsisType
    from typing import Any, Final, Unpack

    from ._base.resource import Options
    from ._predictions.params import TrainingOptions
    from .identifier import HasId, Ref
    from .pagination import Page


class Training(Job[M]):
    """A training (https://replicate.com/docs/reference/http#trainings.get)."""

    __slots__ = ()

    _path = "trainings"

    output: dict[str, Any] | None
    """``version``, as ``owner/name:id``, and ``weights``, a URL."""

    wait: Final = operation(wait_until_done)
    async_wait: Final = async_operation(wait)

    @property
    def destination(self) -> str | None:
        """``owner/name`` of the model that got the new version; None until there is one."""
        version: str | None = (self.output or {}).get("version")
        return version.partition(":")[0] if version else None


class Trainings(Namespace[M]):
    """`client.trainings`."""

    __slots__ = ()

    @operation
    async def create(
        self,
        *positional: Any,
        model: Ref | tuple[str, str] | None = None,
        version: str | HasId | None = None,
        input: Mapping[str, Any] | None = None,
        destination: Ref | tuple[str, str] | None = None,
        **options: Unpack[TrainingOptions],
    ) -> Training[M]:
        """Train a version of a model.

        API: https://replicate.com/docs/reference/http#trainings.create

        Args:
            positional: As in 1.0.7, ``("owner/name:version", input, destination)`` or
                ``("owner/name", version, input)``; or as in Node, ``(owner, name, version)``.
            model: ``owner/name``, a pair of both, or a model.
            version: A version or its id; without `model`, ``owner/name:version``.
            input: The inputs of the training; files among them are uploaded.
            destination: The model of yours that the new version is pushed to, ``owner/name``.

        Raises:
            TypeError: An argument is missing, or given twice.
            ValueError: `destination` is missing, or a reference is malformed.
            NotFoundError: The model, the version or the destination does not exist.

        """
        if positional:
            keywords = drop_none(model=model, version=version, input=input, destination=destination)
            arguments = _name_arguments(positional, {**options, **keywords})
            checker(unchecked(Trainings.create), RULES)((self,), arguments)
            return await unchecked(Trainings[M].create)(self, **arguments)
        if version is None:
            raise TypeError("give version=: its id, or 'owner/name:version'")
        id = resource_id("version", version)
        if model is None:
            ref = resolve(id)
            owner, name, id = ref.owner, ref.name, ref.version or ""
        else:
            owner, name = owner_and_name("model", model)
        if destination is None:
            raise ValueError("A destination must be provided as a positional or keyword argument.")
        params, request_options = split_options(options, TRAINING_OPTIONS)
        body: dict[str, Any] = {
            # The API checks a destination that is text.
            "destination": (
                destination
                if isinstance(destination, str)
                else "/".join(owner_and_name("destination", destination))
            ),
            **body_fields(params),
        }
        from ._files.inputs import put_input

        inlined = await put_input(self, body, input or {}, params, request_options)
        pending = self._send(
            "POST",
            ("models", owner, name, "versions", id, "trainings"),
            Expect.RECORD,
            request_options,
            body=body,
            inlined=inlined,
            creates="trainings",
        )
        try:
            return Training._of(await self._transport.finish(pending), self._session)
        except ReplicateError as error:
            add_created(error, Training, self._session)
            raise
        except BaseException:
            pending.cancel_created()
            raise

    async_create: Final = async_operation(create)

    @operation
    def get(self, id: str | HasId, **options: Unpack[Options]) -> Awaitable[Training[M]]:
        """Fetch a training.

        API: https://replicate.com/docs/reference/http#trainings.get

        Args:
            id: The training's id, or a training.

        Raises:
            NotFoundError: The training does not exist.

        """
        target = ("trainings", resource_id("id", id))
        return fetch(self, Training[M], "GET", target, options, expect=Expect.RECORD)

    async_get: Final = async_operation(get)

    @operation
    def cancel(self, id: str | HasId, **options: Unpack[Options]) -> Awaitable[Training[M]]:
        """Cancel a running training.

        API: https://replicate.com/docs/reference/http#trainings.cancel

        Args:
            id: The training's id, or a training.

        Returns:
            The training, which may still be running for a moment.

        Raises:
            NotFoundError: The training does not exist.

        """
        target = ("trainings", resource_id("id", id), "cancel")
        return fetch(self, Training[M], "POST", target, options, expect=Expect.RECORD)

    async_cancel: Final = async_operation(cancel)

    @operation
    def list(
        self, cursor: str | EllipsisType = ..., **options: Unpack[Options]
    ) -> Awaitable[Page[Training[M]]]:
        """Fetch a page of your trainings, newest first, 100 to a page.

        API: https://replicate.com/docs/reference/http#trainings.list

        Args:
            cursor: The `next` or `previous` of another page.

        Raises:
            ReplicateError: The request failed.

        """
        return page_of(self, Training[M], ("trainings",), cursor, options)

    async_list: Final = async_operation(list)


def _name_arguments(positional: tuple[Any, ...], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return positional arguments, in the order of 1.0.7 or of Node, as keywords."""
    names = (
        "version",
        "input",
        "destination",
        "webhook",
        "webhook_completed",
        "webhook_events_filter",
    )
    arguments: dict[str, Any]
    if len(positional) == 3 and isinstance(positional[1], str):
        if isinstance(positional[2], str):
            # Node's: owner, name, version.
            arguments = {"model": positional[:2], "version": positional[2]}
        else:
            arguments = dict(zip(("model", "version", "input"), positional, strict=True))
    elif len(positional) <= len(names):
        arguments = dict(zip(names, positional, strict=False))
    else:
        raise TypeError(
            f"trainings.create takes at most {len(names)} positional arguments, not"
            f" {len(positional)}"
        )
    if repeated := [name for name in arguments if name in keywords]:
        raise TypeError(f"{repeated[0]} is given twice, by position and by name")
    return {**arguments, **keywords}


defer_annotations(globals())
