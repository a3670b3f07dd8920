"""What a receiver of webhooks keeps: prepared keys, and the ids of the webhooks it has seen."""

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
    """Verifies webhooks with keys that are prepared once; safe for use by several threads.

    ``verify(headers, body)`` raises a `WebhookValidationError` unless the webhook is genuine.
    ``read(headers, body)`` does the same and returns the decoded body. ``verify_many(webhooks)``
    takes pairs of headers and body, lets other threads run meanwhile, and returns a list with None
    for each genuine webhook, or its error. All methods take `now=`, the current time of the call.

    Args:
        secrets: The result of `client.webhooks.default.secret.get()`, or its text; several while
            the secret is rotated.
        tolerance: Seconds that a timestamp may differ from the current time; None for no limit.
        seen: A function of a genuine and recent webhook's id. It returns whether the id was seen
            before, and stores it: `SeenWebhooks`, or a function of a store that processes share.
        now: The current time, for tests: seconds since 1970, a `datetime`, or a function that
            returns one; None for the clock.

    Raises:
        InvalidSecretKeyError: A secret is missing or malformed.
        TypeError: An argument has the wrong type.

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
        # Error reports show the locals of frames.
        hidden, secrets = Secret(secrets), None
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
        """Verify a webhook, and return its prediction or training, of the default client.

        Args:
            headers: The request's headers: a mapping, or pairs.
            body: The raw body.
            now: The current time of this call.

        Raises:
            WebhookValidationError: The webhook is not genuine; the subclass tells why.

        """
        data = self.read(headers, body, now=now)
        kind = Training if _is_training(data) else Prediction
        return kind._alone(data)


class _WithoutSecret(WebhookVerifier):
    """A verifier that was unpickled: it has no secrets, and refuses every webhook."""

    __slots__ = ()

    def verify(self, headers: Headers, body: Body | None, *, now: Now | None = None) -> NoReturn:  # noqa: ARG002 - the signature of the base class
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
        "this verifier was unpickled, and secrets are not pickled: create it where it is used,"
        " WebhookVerifier(secrets)"
    )


def _restored(
    tolerance: Seconds | None, seen: Callable[[str], bool] | None, now: Now | None = None
) -> WebhookVerifier:
    # The constructor requires a secret.
    return _WithoutSecret("whsec_" + "A" * 32, tolerance, seen=seen, now=now)


def _is_training(data: Mapping[str, Any]) -> bool:
    """Return whether an object is a training, by its URL or by its output."""
    urls, output = data.get("urls"), data.get("output")
    if is_object(urls) and "/trainings/" in str(urls.get("get")):
        return True
    # The API gives some trainings the URL of a prediction.
    return (
        is_object(output)
        and set(output) == {"version", "weights"}
        and ":" in str(output["version"])
    )


class SeenWebhooks:
    """Stores the ids of the latest webhooks; safe for use by the threads of one process.

    Replicate sends the last webhook of a prediction again, with the same id, until a response
    reports success. To lose none, call `settle` after each webhook is handled, and report success
    for a webhook that was seen before only if `is_settled` returns True.

    Args:
        size: The number of ids to store: at least as many as arrive within twice the tolerance. A
            webhook whose id was dropped is accepted again.

    Raises:
        TypeError: `size` is not a whole number.
        ValueError: `size` is below 1.

    """

    __slots__ = ("_ids", "_lock", "size")

    def __init__(self, size: int = 10_000) -> None:
        self.size: int = integer("size", size, 1)
        # Whether each webhook was handled with success, the oldest first.
        self._ids: dict[str, bool] = {}
        self._lock = allocate_lock()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            return type(self), (self.size,), {"_ids": {**self._ids}}

    def __setstate__(self, state: dict[str, dict[str, bool]]) -> None:
        self._ids = state["_ids"]

    def __call__(self, id: str) -> bool:
        """Return whether a webhook was seen before, and store its id."""
        text("id", id)
        with self._lock:
            if id in self._ids:
                return True
            if len(self._ids) >= self.size:
                del self._ids[next(iter(self._ids))]
            self._ids[id] = False
            return False

    def settle(self, id: str, *, succeeded: bool) -> None:
        """Store how the handling of a webhook ended.

        Args:
            id: The webhook's id.
            succeeded: False drops the id, so that the webhook is accepted when it is sent again.

        """
        text("id", id)
        flag("succeeded", succeeded)
        with self._lock:
            if not succeeded:
                self._ids.pop(id, None)
            elif id in self._ids:
                self._ids[id] = True

    def is_settled(self, id: str) -> bool:
        """Return whether a webhook was handled with success.

        Args:
            id: The webhook's id.

        """
        return self._ids.get(text("id", id), False)

    def __len__(self) -> int:
        return len(self._ids)


defer_annotations(globals())
