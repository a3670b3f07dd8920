"""The rows of a journal, and what is known of an input by its row."""

from __future__ import annotations

from json import dumps, loads
from typing import TYPE_CHECKING, NamedTuple

from .._core import write_json

if TYPE_CHECKING:
    from .keys import Input

WAITING, SENDING, RUNNING = "waiting", "sending", "running"
OPEN = (WAITING, SENDING, RUNNING)

COLUMNS = (
    "number, key, position, digest, input, status, worker, attempts, sent_at, sent_input,"
    " prediction, earlier_predictions, ended_at, predict_time, output, error, files"
)


class Row(NamedTuple):
    """An input in the journal; a column each."""

    number: int
    key: str
    position: int
    digest: bytes | None
    input: str
    status: str
    worker: int | None
    attempts: int
    sent_at: float | None
    sent_input: str | None
    prediction: str | None
    earlier_predictions: str | None
    ended_at: float | None
    predict_time: float | None
    output: str | None
    error: str | None
    files: str | None

    @property
    def is_done(self) -> bool:
        """Whether its prediction has ended, or could not be created."""
        return self.status not in OPEN

    def with_earlier(self) -> str | None:
        """Return the column of earlier predictions with the last one added."""
        if self.prediction is None:
            return self.earlier_predictions
        return dumps([*loads(self.earlier_predictions or "[]"), self.prediction])


def to_json(value: object) -> str | None:
    """Return a value as the JSON of a column; None for None.

    Whatever an API answered is kept, also what a request may not have: NaN, and characters that
    UTF-8 cannot encode.
    """
    if value is None:
        return None
    plain = write_json(value)
    return dumps(value) if plain is None else plain.decode()


class Outcome(NamedTuple):
    """What became of an input."""

    number: int
    status: str
    ended_at: float
    predict_time: float | None
    output: str | None
    error: str | None
    files: str | None


# What is known of an input that a worker claims: it is new; nothing was sent for it so far; it
# failed, and is sent again; a prediction may have been created for it; one was created; it is done;
# another worker has it; its key belongs to another input.
NEW, FIRST, AGAIN, UNCERTAIN, CREATED, DONE, HELD, CONFLICT = range(8)


class Claim(NamedTuple):
    """An input that a worker wants, and what is known of it."""

    kind: int
    row: Row | None
    """Its row before this claim; None if it is new, or held by another worker."""
    number: int = 0


def judge(item: Input, row: Row, retry_before: float | None) -> int:
    """Return what is known of an input, unless another worker has it.

    Args:
        item: The input.
        row: Its row.
        retry_before: An input that failed before this time is sent again.

    """
    if row.digest != item.digest:
        return CONFLICT
    if row.is_done:
        is_retried = (
            retry_before is not None
            and row.status != "succeeded"
            and (row.ended_at or 0.0) < retry_before
        )
        return AGAIN if is_retried else DONE
    if row.status == WAITING:
        return AGAIN if row.attempts else FIRST
    return UNCERTAIN if row.status == SENDING else CREATED
