"""Types of predictions and trainings: their status, their webhook events, what creates take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from .._base.types import FileEncodingStrategy, Options, Seconds, TypedDict
from .._files.types import OnSent

Status: TypeAlias = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
WebhookEvent: TypeAlias = Literal["start", "output", "logs", "completed"]


class TrainingOptions(Options, total=False):
    """What `trainings.create` takes."""

    webhook: str | None
    """An https URL to be told of changes."""
    webhook_events_filter: Sequence[WebhookEvent] | None
    """Which changes: a list of ``start``, ``output``, ``logs`` and ``completed``."""
    webhook_completed: str | None
    """The same for the end only; older than `webhook`."""
    file_encoding_strategy: FileEncodingStrategy | None
    """How files are sent; the client's if not given."""
    upload_progress: OnSent | None
    """Called with the bytes of files that were sent, and those of all uploads that have begun, a
    few times a second.
    """


class CreateOptions(TrainingOptions, total=False):
    """What `run` takes too."""

    cancel_after: str | Seconds | None
    """Seconds, or a duration as ``1h30m``, after which the API cancels the prediction."""
    stream: bool | None
    """Older than streams that every prediction has; sent if given."""


class PredictionOptions(CreateOptions, total=False):
    """What `predictions.create` and `stream` take."""

    wait: bool | Seconds | None
    """Seconds to hold the request open until there is output (True: 60, the most)."""
    prefer: str | None
    """The same as a header value, ``wait`` or ``wait=5``."""


class WaitOptions(TypedDict, total=False):
    """How `run` waits."""

    mode: Literal["block", "poll"]
    """Hold the first request open, or poll from the start."""
    interval: Seconds
    """Seconds between polls."""
    timeout: Seconds
    """Seconds to hold the first request open; 3 at most, and if not given."""


Wait: TypeAlias = bool | Seconds | WaitOptions
