"""What creating a prediction or a training takes, and what of it goes where in the request."""

from __future__ import annotations

from .._base.checks import limit
from .._base.operation import HELP
from .._base.resource import OPTIONS
from .._base.typing import TYPE_CHECKING, TypeVar
from ..identifier import owner_and_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .._base.resource import Options
    from ..identifier import Ref
    from .types import CreateOptions as CreateOptions
    from .types import PredictionOptions as PredictionOptions
    from .types import TrainingOptions as TrainingOptions
    from .types import WebhookEvent as WebhookEvent


Given = TypeVar("Given", bound="CreateOptions")

# Those that go into the request's body as they are.
ABOUT_WEBHOOKS = frozenset(("webhook", "webhook_events_filter", "webhook_completed"))

# Seconds: the longest hold the API documents
# (https://replicate.com/docs/topics/predictions/create-a-prediction#sync-mode).
LONGEST_HOLD = 60
# Seconds that an answer may take beyond the hold that was asked for.
MARGIN = 30.0

# Seconds that the API lets a prediction live, at least and at most
# (https://replicate.com/docs/topics/predictions/lifecycle#prediction-deadlines).
SHORTEST_LIFE = 5
LONGEST_LIFE = 24 * 60 * 60

_OF_TRAININGS = {
    "webhook": "An https URL to be told of changes.",
    "webhook_events_filter": (
        "Which changes: a list of ``start``, ``output``, ``logs`` and ``completed``."
    ),
    "webhook_completed": "The same for the end only; older than `webhook`.",
    "file_encoding_strategy": "How files are sent; the client's if not given.",
    "upload_progress": (
        "Called with the bytes of files that were sent, and those of all uploads that have begun, a"
        " few times a second."
    ),
}
_OF_RUNS = {
    "cancel_after": (
        "Seconds, or a duration as ``1h30m``, after which the API cancels the prediction."
    ),
    "stream": "Older than streams that every prediction has; sent if given.",
}
_OF_PREDICTIONS = {
    "wait": "Seconds to hold the request open until there is output (True: 60, the most).",
    "prefer": "The same as a header value, ``wait`` or ``wait=5``.",
}
HELP["TrainingOptions"] = _OF_TRAININGS | HELP["Options"]
HELP["CreateOptions"] = _OF_RUNS | HELP["TrainingOptions"]
HELP["PredictionOptions"] = _OF_PREDICTIONS | HELP["CreateOptions"]

CREATE_OPTIONS = frozenset((*_OF_TRAININGS, *_OF_RUNS, *_OF_PREDICTIONS))


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], Options]:
    """Part what is said of a prediction from what is said of its request.

    Raises:
        TypeError: An option does not exist.

    """
    own: dict[str, Any] = {}
    others: Options = {}
    for name, value in options.items():
        if name in CREATE_OPTIONS:
            own[name] = value
        elif name in OPTIONS:
            others[name] = value  # type: ignore[literal-required]  # it was looked up just now
        else:
            raise TypeError(f"unexpected keyword argument {name!r}: {_instead(name)}")
    return own, others


def _instead(name: str) -> str:
    """Return what to write instead of a keyword that does not exist."""
    if name in ("api_token", "auth", "bearer_token"):
        return f"a token belongs to a client: client.with_options({name}=…)"
    return f"pass a model's inputs as input={{{name!r}: …}}"


def headers(own: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give the headers that say how long to hold the request, and how long the prediction may take."""
    wait, prefer, cancel_after = own.get("wait"), own.get("prefer"), own.get("cancel_after")
    if wait and prefer:
        raise TypeError("cannot mix and match prefer and wait: give one")
    found = [("Prefer", prefer)] if (prefer := prefer or hold(wait)) else []
    if cancel_after is not None:
        found.append(("Cancel-After", str(cancel_after)))
    return found


def guarded(options: Given, *, cancel_on_exit: bool) -> Given:
    """Return options with which the API itself ends a prediction soon after the caller's deadline,
    if nobody else can.
    """
    asked: CreateOptions = options
    timeout = limit("timeout", asked.get("timeout"))
    if (
        timeout is None
        or not cancel_on_exit
        or options.get("cancel_after") is not None
        or timeout >= LONGEST_LIFE
    ):
        return options
    # Later than the caller's own deadline, so that it is the caller who is told.
    limited = options.copy()
    limited["cancel_after"] = max(SHORTEST_LIFE, int(timeout) + 2)
    return limited


def target(
    version: str | None,
    model: Ref | tuple[str, str] | None,
    deployment: Ref | tuple[str, str] | None,
) -> tuple[str, ...]:
    """Give the path of the endpoint that starts what was named.

    Raises:
        ValueError: Not exactly one was.

    """
    if (version is not None) + (model is not None) + (deployment is not None) != 1:
        raise ValueError("Exactly one of 'model', 'version', or 'deployment' must be specified.")
    if model is not None:
        return ("models", *owner_and_name("model", model), "predictions")
    if deployment is not None:
        return ("deployments", *owner_and_name("deployment", deployment), "predictions")
    return ("predictions",)


def hold(wait: bool | float | None) -> str | None:
    """Give the `Prefer` header for what was given as `wait=`.

    Raises:
        ValueError: It is below 0.

    """
    if wait is None or wait is False or wait == 0:
        return None
    if wait is True:
        return "wait"
    if not isinstance(wait, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
        raise TypeError(f"wait must be a bool or a number of seconds, not {type(wait).__name__}")
    if not wait > 0:
        raise ValueError(f"wait must be a number of seconds above 0, not {wait!r}")
    return f"wait={int(min(-(-wait // 1), LONGEST_HOLD))}"


def webhooks(
    webhook: str | None, events: Sequence[str] | None, completed: str | None = None
) -> dict[str, Any]:
    """Give the request's fields about webhooks."""
    fields = {"webhook": webhook, "webhook_completed": completed, "webhook_events_filter": events}
    return {name: value for name, value in fields.items() if value is not None}
