"""The record that predictions and trainings share."""

from __future__ import annotations

from .._base.operation import async_operation, operation
from .._base.record import Record, fetch_into, timestamp_property
from .._base.resource import M
from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import Any, ClassVar, Final, Literal, Unpack

    from .._base.resource import Options
    from .._base.session import Session
    from ..exceptions import ReplicateError
    from .params import WebhookEvent
    from .progress import Progress
    from .types import Status as Status


CANCELED = ("canceled", "aborted")
TERMINAL = ("succeeded", "failed", *CANCELED)
# For a status in neither list, which the API may add later, `completed_at` decides.
RUNNING = ("starting", "processing")


class Job(Record[M]):
    """A prediction or a training."""

    __slots__ = ()

    _path: ClassVar[str]
    # Whether it is in the list of recent predictions, and reported to `progress=` functions.
    _is_prediction: ClassVar[bool] = False

    id: str
    """The id that other calls take."""
    model: str
    """``owner/name``."""
    version: str | None
    """64 hexadecimal digits; ``hidden`` for official models."""
    status: Status
    """``starting``, ``processing``, then ``succeeded``, ``failed``, ``canceled``, or ``aborted`` if
    it was canceled before it started."""
    input: dict[str, Any] | None
    """As passed: defaults are not filled in."""
    output: Any
    """Of the type that the model declares; None until there is output."""
    logs: str | None
    """What the model printed so far."""
    error: str | None
    """Why it failed."""
    metrics: dict[str, Any] | None
    """``predict_time`` and ``total_time`` in seconds; language models add token counts."""
    source: Literal["api", "web"] | None
    """Where it was created: through the API, or on the website."""
    created_at: str | None
    """ISO 8601, in UTC; also `started_at`, `completed_at`.

    The same as `datetime`: `created`, `started`, `completed`.
    """
    started_at: str | None
    """When the model began; ISO 8601, in UTC."""
    completed_at: str | None
    """When it ended; ISO 8601, in UTC."""
    created: Final = timestamp_property("created_at")
    started: Final = timestamp_property("started_at")
    completed: Final = timestamp_property("completed_at")
    urls: dict[str, str] | None
    """Addresses of the API by their use: ``get``, ``cancel``."""
    webhook: str | None
    """The URL that the API sends events to."""
    webhook_events_filter: list[WebhookEvent] | None
    """Which events the API sends; all if it is None."""

    @property
    def is_done(self) -> bool:
        """Whether it has ended: succeeded, failed, canceled or aborted."""
        status = self.status
        return status in TERMINAL or (status not in RUNNING and self.completed_at is not None)

    @property
    def progress(self) -> Progress | None:
        """The last progress bar in its logs; None if there is none."""
        from .progress import Progress

        return Progress.parse(self.logs)

    def _repr_html_(self) -> str:
        from .._notebook.records import job

        return job(self, self._find_files())

    def _repr_pretty_(self, printer: Any, _is_cycle: bool) -> None:
        # IPython's text: a notebook that is passed on has it, too.
        from .._notebook.plain import job

        printer.text(job(self))

    def _find_files(self) -> Sequence[Any]:
        """Return the files in `output` that a notebook shows."""
        return ()

    @operation
    def reload(self, **options: Unpack[Options]) -> Awaitable[None]:
        """Fetch the present state into this object.

        See https://replicate.com/docs/reference/http#predictions.get and ``#trainings.get``.

        Raises:
            NotFoundError: It does not exist.

        """
        return fetch_into(self, "GET", (self._path, self.id), options)

    async_reload: Final = async_operation(reload)

    @operation
    def cancel(self, **options: Unpack[Options]) -> Awaitable[None]:
        """Cancel it, and update this object from the answer.

        See https://replicate.com/docs/reference/http#predictions.cancel and ``#trainings.cancel``.

        Raises:
            NotFoundError: It does not exist.

        """
        return fetch_into(self, "POST", (self._path, self.id, "cancel"), options)

    async_cancel: Final = async_operation(cancel)


def add_created(error: ReplicateError, kind: type[Job[Any]], session: Session) -> None:
    """Add what a failed create made all the same to its error; the core has cancelled it."""
    if error._created is not None:
        error.prediction = kind._of(error._created, session)


defer_annotations(globals())
