"""Create the predictions of inputs, never two for one, and wait until they have ended."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, cast

from .._base.operation import unchecked
from .._base.session import Async
from .._files.inputs import encode_input
from .._files.upload import DataURIs
from .._predictions.polling import Poller
from ..exceptions import RateLimitError
from ..identifier import resolve
from ..prediction import Prediction, Predictions
from ..run import MAX_FIRST_WAIT, create_prediction
from .lookup import Lookup
from .outage import PASSING, Outage
from .rows import CREATED, to_json

if TYPE_CHECKING:
    from typing import Any

    from .._base.resource import Resource
    from ..identifier import Ref
    from .async_store import AsyncStore
    from .delivery import Delivery
    from .job import Job
    from .pace import Pace
    from .plan import Plan


class Sender:
    """Sends what inputs need, whatever fails on the way."""

    def __init__(
        self, client: Resource[Async], plan: Plan, pace: Pace, store: AsyncStore, delivery: Delivery
    ) -> None:
        root: Any = client
        self._client = client
        # `map` repeats creates itself: it must know of each refusal, and of each request that may
        # have been accepted.
        self._creator: Resource[Async] = root.with_options(max_retries=0)._in(root._mode)
        self._plan = plan
        self._target = plan.target
        self._options = {**plan.options}
        if "wait" not in self._options and "prefer" not in self._options:
            self._options["wait"] = MAX_FIRST_WAIT
        self._pace = pace
        self._store = store
        self._delivery = delivery
        target = plan.target
        model = None if target.model is None else target.model.partition(":")[0]
        # Parsed once, and not for each create.
        self._ref: Ref = target.version or ("" if model is None else resolve(model))
        self._lookup = Lookup(client, (model, target.version, target.deployment), self._find_known)
        self.outage: Outage = Outage()
        self.unsent: set[int] = set()
        """The numbers of claimed inputs for which nothing was sent."""

    async def begin(self, job: Job) -> Prediction[Async]:
        """Return the prediction of an input: create it, unless it exists already."""
        kind, row = job.claim.kind, job.claim.row
        if kind == CREATED and row is not None and row.prediction is not None:
            self._delivery.open[job.number] = row.prediction
            return await self._fetch(row.prediction)
        if job.found is not None:
            return job.found
        sent = job.sent
        if sent is None:
            self.unsent.add(job.number)
            sent = job.sent = await encode_input(self._client, job.input.value, DataURIs())
            await self._store.call(
                self._store.store.set_sent_input, job.number, to_json(sent) or ""
            )
        return await self._create(job, sent)

    async def _create(self, job: Job, sent: dict[str, Any]) -> Prediction[Async]:
        attempt, begun_at = 0, time()
        while True:
            if not self._store.store.has_lease:
                await self._store.call(self._store.store.renew_for, job.number)
            self.unsent.discard(job.number)
            try:
                prediction = await self._send(sent)
            except RateLimitError as error:
                # It was not accepted.
                if not attempt:
                    self.unsent.add(job.number)
                self._pace.refused(error.retry_after)
            except PASSING as error:
                self.outage.check(error)
                self._pace.failed(attempt)
                attempt += 1
                if error._sent or error.status is not None:
                    found = await self._find(sent, begun_at)
                    if found is not None:
                        self._delivery.add_created(found.id, job.number)
                        return found
            else:
                if self._lookup.has_given(prediction.id):
                    # An equal input, whose answer was lost, has it. So its own is this one's.
                    prediction = await self._find(sent, begun_at) or prediction
                self._pace.accepted(self._creator._core.create_rate())
                self.outage.end()
                self._delivery.add_created(prediction.id, job.number)
                return prediction
            await self._pace.wait_turn()

    async def _send(self, sent: dict[str, Any]) -> Prediction[Async]:
        target, cancels = self._target, self._plan.cancels
        if target.deployment is not None:
            prediction: Any = await unchecked(Predictions[Async].create)(
                self._creator,
                None,
                sent,
                deployment=target.deployment,
                cancel_on_exit=cancels,
                **self._options,
            )
            return cast("Prediction[Async]", prediction)
        return await create_prediction(
            self._creator, self._ref, sent, self._options, cancel_on_exit=cancels
        )

    async def find_lost(self, job: Job, sent: object, sent_at: float) -> None:
        """Look for the prediction of an input that was sent, but whose answer was lost."""
        job.found = await self._find(sent, sent_at)
        if job.found is not None:
            self._delivery.add_created(job.found.id, job.number)

    async def _find_known(self, predictions: list[str], since: float) -> set[str]:
        return await self._store.call(self._store.store.find_known, predictions, since)

    async def _find(self, sent: object, sent_at: float) -> Prediction[Async] | None:
        return await self.outage.outlast(lambda: self._lookup.find(sent, sent_at))

    async def _fetch(self, id: str) -> Prediction[Async]:
        get: Any = unchecked(Predictions[Async].get)
        prediction: Any = await self.outage.outlast(lambda: get(self._client, id))
        return cast("Prediction[Async]", prediction)

    async def follow(self, prediction: Prediction[Async]) -> Prediction[Async]:
        """Wait until a prediction has ended."""
        if prediction.is_done:
            return prediction
        poller = Poller(
            self._client,
            cancel_on_exit=self._plan.cancels,
            signal=self._plan.options.get("signal"),
        )
        return await self.outage.outlast(
            lambda: poller.run_until_done(prediction),
            lambda error: poller.on_exit(error, prediction),
        )
