"""Look for predictions that were created although no answer to their request arrived.

An input that was sent, and whose prediction is not known, must not be sent again before it is
certain that it has none: the create may have been accepted.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from .._base.operation import unchecked
from .._base.session import Async
from .._base.typing import is_object
from ..prediction import Predictions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from .._base.resource import Resource
    from ..prediction import Prediction

# Seconds after a request was sent, or its process died, until its prediction is in the list of
# recent predictions at the latest.
MAX_DELAY = 5.0
# Seconds between two readings of the list.
INTERVAL = 1.0
# Seconds by which the server's clock may differ from this machine's.
CLOCK_DIFFERENCE = 120.0
# Seconds for which an input may have been claimed before its prediction is created: refusals and
# failures of the server hold it up, and workers that are busy for as long as predictions run.
MAX_CLAIM = 86_400.0


class Wanted:
    """A request, and the prediction that it may have created."""

    def __init__(self, input: object, sent_at: float, until: float) -> None:
        self.input: object = input
        self.sent_at: float = sent_at
        """By this machine's clock, in seconds since 1970."""
        self.until: float = until
        """When it is certain that there is none, by the monotonic clock."""
        self.answer: asyncio.Future[Prediction[Async] | None] = (
            asyncio.get_running_loop().create_future()
        )


class Candidate(NamedTuple):
    """A prediction of the list, which a request may have created."""

    prediction: Prediction[Async]
    input: object
    created_at: float | None
    """By the server's clock, in seconds since 1970."""

    def may_be_of(self, wanted: Wanted) -> bool:
        """Return whether a request may have created it."""
        is_later = self.created_at is None or self.created_at >= wanted.sent_at - CLOCK_DIFFERENCE
        return is_later and is_same_input(wanted.input, self.input)


class Lookup:
    """Reads the list of recent predictions for all requests that need it.

    Args:
        client: The client, in async mode.
        target: The model, the version and the deployment that the inputs are for; None for those
            that do not matter.
        find_known: Returns which of some ids belong to predictions that are known; also gets a
            time since which their inputs were sent.

    """

    def __init__(
        self,
        client: Resource[Async],
        target: tuple[str | None, str | None, str | None],
        find_known: Callable[[list[str], float], Awaitable[set[str]]],
    ) -> None:
        self._client = client
        self._target = target
        self._find_known = find_known
        self._wanted: list[Wanted] = []
        self._given: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def has_given(self, id: str) -> bool:
        """Return whether a prediction was found, and is taken for that of an input."""
        return id in self._given

    async def find(
        self, input: object, sent_at: float, delay: float | None = None
    ) -> Prediction[Async] | None:
        """Return the prediction of an input that was sent; None if there is certainly none.

        Args:
            input: The input as it was sent.
            sent_at: When it was sent at the earliest, in seconds since 1970.
            delay: Seconds from now on until its prediction is in the list at the latest;
                `MAX_DELAY` by default.

        Raises:
            ReplicateError: The list cannot be read.

        """
        wanted = Wanted(input, sent_at, monotonic() + (MAX_DELAY if delay is None else delay))
        self._wanted.append(wanted)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        try:
            return await wanted.answer
        finally:
            if wanted in self._wanted:
                self._wanted.remove(wanted)

    async def _run(self) -> None:
        try:
            while self._wanted:
                begun_at = monotonic()
                await self._read_list(begun_at)
                for wanted in [*self._wanted]:
                    # Only a list that was asked for after `until` is certain to be complete.
                    if not wanted.answer.done() and begun_at >= wanted.until:
                        wanted.answer.set_result(None)
                self._wanted = [each for each in self._wanted if not each.answer.done()]
                if self._wanted:
                    await asyncio.sleep(INTERVAL)
        except Exception as error:  # noqa: BLE001 - raised to those who wait
            for wanted in self._wanted:
                if not wanted.answer.done():
                    wanted.answer.set_exception(error)
        finally:
            self._task = None

    async def _read_list(self, begun_at: float) -> None:
        oldest = min(each.sent_at for each in self._wanted) - CLOCK_DIFFERENCE
        candidates: list[Candidate] = []
        page: Any = await unchecked(Predictions[Async].list)(
            self._client, created_after=datetime.fromtimestamp(oldest, UTC).isoformat()
        )
        async for prediction in page.auto():
            created_at = _seconds(prediction.created_at)
            if created_at is not None and created_at < oldest:
                break
            if self._has_target(prediction):
                candidate = Candidate(prediction, prediction.input, created_at)
                if any(candidate.may_be_of(each) for each in self._wanted):
                    candidates.append(candidate)
        ids = [each.prediction.id for each in candidates]
        known = await self._find_known(ids, oldest - MAX_CLAIM) | self._given
        candidates = [each for each in candidates if each.prediction.id not in known]
        for wanted, is_exact in self._in_order():
            # Until the end, one that only looks like it may be the very one of another request,
            # which is looked for a little later.
            if wanted.answer.done() or not (is_exact or begun_at >= wanted.until):
                continue
            matching = [
                each
                for each in candidates
                if (not is_exact or each.input == wanted.input) and each.may_be_of(wanted)
            ]
            if not matching:
                continue
            found = min(matching, key=lambda each: abs((each.created_at or 0) - wanted.sent_at))
            candidates.remove(found)
            self._given.add(found.prediction.id)
            wanted.answer.set_result(found.prediction)

    def _in_order(self) -> list[tuple[Wanted, bool]]:
        """Return the requests by their time, first to find the very input, then one without parts.

        The prediction of an input may look like that of another one with more parts.
        """
        wanted = sorted(self._wanted, key=lambda each: each.sent_at)
        return [(each, is_exact) for is_exact in (True, False) for each in wanted]

    def _has_target(self, prediction: Prediction[Async]) -> bool:
        model, version, deployment = self._target
        actual: Any = prediction
        return (
            (model is None or actual.model in (model, None))
            and (version is None or actual.version == version)
            and (deployment is None or getattr(actual, "deployment", None) == deployment)
        )


def is_same_input(sent: object, kept: object) -> bool:
    """Return whether the API's copy of an input may be that of one that was sent.

    The API leaves out what the model does not know.
    """
    if not is_object(sent) or not is_object(kept):
        return False
    return all(name in sent and sent[name] == value for name, value in kept.items()) and (
        bool(kept) or not sent
    )


def _seconds(timestamp: str | None) -> float | None:
    """Return a time of the API in seconds since 1970."""
    if timestamp is None:
        return None
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None
