"""What a service that receives webhooks keeps: its keys, prepared once, and the webhooks it has
seen.
"""

from __future__ import annotations

from _thread import allocate_lock

from .._base.checks import flag, integer, text
from .._base.credentials import Secret, reveal
from .._base.typing import TYPE_CHECKING, defer_annotations, is_object
from .._core import Verifier
from ..prediction import Prediction
from ..training import Training
from ..webhook import InvalidSecretKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn, Self

    from .._base.checks import Seconds
    from ..webhook import Secrets
    from .types import Now as Now
    from .types import WebhookBody as Body
    from .types import WebhookHeaders as Headers


class WebhookVerifier(Verifier):
    """Tells genuine webhooks from others; one for all threads.

    Its methods take `now=` too, which is the time for one call.

    ``verify(headers, body)`` raises a `WebhookValidationError` unless the webhook is genuine.
    ``verify_many(webhooks)`` takes pairs of these, lets other threads run meanwhile, and gives a
    list: None for each that is genuine, or the error.

    Args:
        secrets: From `client.webhooks.default.secret.get()`, or its text; several while keys are
            rotated.
        tolerance: Seconds between a webhook's timestamp and now that are accepted, one way or the
            other; None for any.
        seen: Asked with the id of each webhook that is genuine and recent: whether it has been
            there before; and to remember it. `SeenWebhooks`, or a function that asks a store which
            several processes have.
        now: The time that timestamps are compared with, for tests: seconds since 1970, a
            `datetime`, or a function that returns one; None for the clock.

    Raises:
        InvalidSecretKeyError: A secret is missing, or is not one.

    """

    __slots__ = ("_now", "_seen", "_tolerance")

    _now: Now | None
    _seen: Callable[[str], bool] | None
    _tolerance: Seconds | None

    def __new__(
        cls,
        secrets: Secrets | None,
        tolerance: Seconds | None = 300,
        *,
        seen: Callable[[str], bool] | None = None,
        now: Now | None = None,
    ) -> Self:
        """Prepare the keys."""
        hidden, secrets = Secret(secrets), None
        # Reports of errors show the locals of frames.
        verifier = super().__new__(cls, reveal(hidden), tolerance, seen=seen, now=now)
        verifier._tolerance, verifier._seen, verifier._now = tolerance, seen, now
        return verifier

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _known: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._tolerance, self._seen, self._now)

    def unwrap(
        self, headers: Headers, body: Body | None, *, now: Now | None = None
    ) -> Prediction | Training:
        """Verify a webhook, and give the prediction or training that it tells of; it belongs to the
        default client.

        Args:
            headers: The request's headers: a mapping, or pairs.
            body: The raw body, as it came.
            now: The time for this call.

        Raises:
            WebhookValidationError: One of its subclasses says what is wrong.

        """
        data = self.read(headers, body, now=now)
        kind = Training if _is_training(data) else Prediction
        return kind._alone(data)


class _WithoutSecret(WebhookVerifier):
    """A verifier that was pickled: its secrets were not, and without them no webhook is genuine."""

    __slots__ = ()

    def verify(self, headers: Headers, body: Body | None, *, now: Now | None = None) -> NoReturn:  # noqa: ARG002 - as the others have it
        raise _lost_secret()

    def read(self, headers: Headers, body: Body | None, *, now: Now | None = None) -> NoReturn:  # noqa: ARG002 - as above
        raise _lost_secret()

    def verify_many(
        self,
        webhooks: Iterable[tuple[Headers, Body]],  # noqa: ARG002 - as `verify`
        *,
        now: Now | None = None,  # noqa: ARG002 - as `verify`
    ) -> NoReturn:
        raise _lost_secret()


def _lost_secret() -> InvalidSecretKeyError:
    return InvalidSecretKeyError(
        "this verifier was unpickled, and secrets are not pickled: make one where it is used,"
        " WebhookVerifier(secrets)"
    )


def _restored(
    tolerance: Seconds | None, seen: Callable[[str], bool] | None, now: Now | None = None
) -> WebhookVerifier:
    # It needs some secret to be made.
    return _WithoutSecret("whsec_" + "A" * 32, tolerance, seen=seen, now=now)


def _is_training(data: Mapping[str, Any]) -> bool:
    """Tell the two apart, which are otherwise alike: by its own address, or by what only a training
    puts out.
    """
    urls, output = data.get("urls"), data.get("output")
    if is_object(urls) and "/trainings/" in str(urls.get("get")):
        return True
    # The API answers some requests with a training's address as that of a prediction.
    return (
        is_object(output)
        and set(output) == {"version", "weights"}
        and ":" in str(output["version"])
    )


class SeenWebhooks:
    """Remembers webhooks by their id, the latest ones; for all threads of one process.

    Replicate sends the last webhook of a prediction again, under the same id, until it is answered
    with success. So that none is lost, say how the handling of each ended (`settle`), and answer
    one that came before with success only if `is_settled`.

    Args:
        size: How many: as many as come in twice the tolerance, and are handled at a time. What is
            forgotten sooner is accepted again.

    """

    __slots__ = ("_ids", "_lock", "size")

    def __init__(self, size: int = 10_000) -> None:
        self.size: int = integer("size", size, 1)
        # Whether each was handled with success; the oldest first.
        self._ids: dict[str, bool] = {}
        self._lock = allocate_lock()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            return type(self), (self.size,), {"_ids": {**self._ids}}

    def __setstate__(self, state: dict[str, dict[str, bool]]) -> None:
        self._ids = state["_ids"]

    def __call__(self, id: str) -> bool:
        """Whether a webhook has been seen; from now on it has."""
        text("id", id)
        with self._lock:
            if id in self._ids:
                return True
            if len(self._ids) >= self.size:
                del self._ids[next(iter(self._ids))]
            self._ids[id] = False
            return False

    def settle(self, id: str, *, succeeded: bool) -> None:
        """Say how the handling of a webhook ended.

        One that failed is forgotten, and accepted when it comes again.
        """
        text("id", id)
        flag("succeeded", succeeded)
        with self._lock:
            if not succeeded:
                self._ids.pop(id, None)
            elif id in self._ids:
                self._ids[id] = True

    def is_settled(self, id: str) -> bool:
        """Whether a webhook has been handled with success."""
        return self._ids.get(text("id", id), False)

    def __len__(self) -> int:
        return len(self._ids)


defer_annotations(globals())
