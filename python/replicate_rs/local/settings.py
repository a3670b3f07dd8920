"""What can be turned on a server, also while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .runs.prediction import Shape

Advice = Literal["seconds", "date", "body", "text"]


@dataclass(kw_only=True, slots=True)
class RateLimits:
    """Requests per minute; each limit may be used up in one burst.

    Args:
        create: For creating predictions.
        get: For reading one prediction.
        other: For everything else.

    """

    create: float = 600
    get: float = 60_000
    other: float = 3_000


@dataclass(kw_only=True, slots=True)
class Settings:
    """How the server behaves where the service itself has been seen to behave in more than one way,
    or has a limit.

    Args:
        shape: What predictions look like: ``documented``; ``edge`` (keys that are not set are
            missing) and ``web`` (they are null) are the two shapes that were recorded.
        held: What a create with ``Prefer: wait`` answers when there is output in time:
            ``processing`` with the output, as recorded; ``succeeded``; or ``empty``, which is
            ``processing`` without it.
        files: How output files are given: as a ``url``; or as ``data``, which was recorded too. The
            official clients give a ``FileOutput`` for ``https:`` and ``data:`` only, and an
            ``http:`` URL of this machine as a string.
        created: The status of a create.
        idle: Seconds without an event after which a stream ends with a ``408`` comment.
        max_upload: Bytes that an uploaded file may have.
        max_body: Bytes that any other body may have.
        rate_limits: Requests per minute; None: any number.
        advice: How an answer 429 says when to come back.
        webhook_copies: How often each webhook is delivered.
        retention: Seconds after its end that a prediction keeps its data.
        concurrency: How many models run at once; further predictions stay ``starting``.
        unknown_inputs: What is done with inputs that a model does not have: ``drop`` them with a
            line in the logs, as the service does; or ``refuse`` them with a 422.

    """

    shape: Shape = "documented"
    held: Literal["processing", "succeeded", "empty"] = "processing"
    files: Literal["url", "data"] = "url"
    created: Literal[201, 202] = 201
    idle: float = 30.0
    max_upload: int = 100_000_000
    max_body: int = 32_000_000
    rate_limits: RateLimits | None = None
    advice: tuple[Advice, ...] = field(default=("seconds", "body", "text"))
    webhook_copies: int = 1
    retention: float = 3600.0
    concurrency: int = 512
    unknown_inputs: Literal["drop", "refuse"] = "drop"
