"""What predictions and trainings have in common: they start, run, and end."""

from __future__ import annotations

from .._base.checks import limit
from .._base.operation import async_operation, operation
from .._base.record import Record, timestamp_property
from .._base.resource import M
from .._base.typing import TYPE_CHECKING, defer_annotations
from .._core import Expect
from .polling import Course

if TYPE_CHECKING:
    from typing import Any, ClassVar, Final, Literal, Unpack

    from .._base.checks import Limit
    from .._base.resource import Options
    from .._base.session import Session
    from .._core import AbortSignal
    from ..exceptions import ReplicateError
    from .params import WebhookEvent
    from .progress import Progress
    from .types import Status as Status


TERMINAL = ("succeeded", "failed", "canceled", "aborted")
# A status that is in neither list, such as one that the API invents tomorrow, says nothing:
# `completed_at` decides then.
RUNNING = ("starting", "processing")


class Job(Record[M]):
    """A prediction or a training."""

    __slots__ = ()

    _path: ClassVar[str]
    # Whether the list of recent predictions tells of it, and callers are told of its progress.
    _is_prediction: ClassVar[bool] = False

    id: str
    model: str
    """``owner/name``."""
    version: str | None
    """64 hexadecimal digits; ``hidden`` for official models."""
    status: Status
    input: dict[str, Any] | None
    """As given: defaults are not filled in."""
    output: Any
    """What the model decides; None until there is some."""
    logs: str | None
    error: str | None
    """Why it failed."""
    metrics: dict[str, Any] | None
    """``predict_time`` and ``total_time`` in seconds; language models add token counts."""
    source: Literal["api", "web"] | None
    created_at: str | None
    """ISO 8601, in UTC; also `started_at`, `completed_at`.

    The same as `datetime`: `created`, `started`, `completed`.
    """
    started_at: str | None
    completed_at: str | None
    created: Final = timestamp_property("created_at")
    started: Final = timestamp_property("started_at")
    completed: Final = timestamp_property("completed_at")
    urls: dict[str, str] | None
    webhook: str | None
    webhook_events_filter: list[WebhookEvent] | None

    @property
    def is_done(self) -> bool:
        """Whether it has ended, one way or another."""
        status = self.status
        return status in TERMINAL or (status not in RUNNING and self.completed_at is not None)

    @property
    def progress(self) -> Progress | None:
        """How far the model says it is, in its logs."""
        from .progress import Progress

        return Progress.parse(self.logs)

    @operation
    async def reload(self, **options: Unpack[Options]) -> None:
        """Fetch the present state into this object."""
        self._update(
            await self._transport.finish(
                self._send("GET", (self._path, self.id), Expect.RECORD, options)
            )
        )

    async_reload: Final = async_operation(reload)

    @operation
    async def cancel(self, **options: Unpack[Options]) -> None:
        """Stop it, and take over the answer."""
        pending = self._send("POST", (self._path, self.id, "cancel"), Expect.RECORD, options)
        self._update(await self._transport.finish(pending))

    async_cancel: Final = async_operation(cancel)

    @operation
    async def wait(
        self, *, signal: AbortSignal | None = None, timeout: Limit | None = None
    ) -> None:
        """Poll until it has ended; does not raise if it failed.

        Args:
            signal: Stops the waiting, not the prediction.
            timeout: Seconds for all of it.

        Raises:
            PredictionTimeout: `timeout` passed first.

        """
        course = Course(
            self, None, None, cancel_on_exit=False, signal=signal, timeout=limit("timeout", timeout)
        )
        done = await course.follow(self._as_given())
        self._update(done.dict())

    async_wait: Final = async_operation(wait)


def note_created(error: ReplicateError, kind: type[Job[Any]], session: Session) -> None:
    """Add to the error of a create what was made all the same; the core has cancelled it then."""
    if error._created is not None:
        error.prediction = kind._of(error._created, session)


defer_annotations(globals())
