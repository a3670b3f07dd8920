"""Parameters of the requests that create predictions and trainings."""

from __future__ import annotations

from .._base.checks import limit
from .._base.operation import HELP
from .._base.resource import OPTIONS
from .._base.typing import TYPE_CHECKING, TypeVar
from ..identifier import owner_and_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._base.resource import Options
    from ..identifier import Ref
    from .types import CreateOptions as CreateOptions
    from .types import PredictionOptions as PredictionOptions
    from .types import TrainingOptions as TrainingOptions
    from .types import WebhookEvent as WebhookEvent


CreateOptionsT = TypeVar("CreateOptionsT", bound="CreateOptions")

# Seconds that the API holds a create request open for, at most
# (https://replicate.com/docs/topics/predictions/create-a-prediction#sync-mode).
MAX_WAIT = 60
# Seconds that its answer may take beyond that.
WAIT_MARGIN = 30.0

# Seconds that the API takes for `Cancel-After`
# (https://replicate.com/docs/topics/predictions/lifecycle#prediction-deadlines).
MIN_CANCEL_AFTER = 5
MAX_CANCEL_AFTER = 24 * 60 * 60

_TRAINING_HELP = {
    "webhook": "An https URL that the API sends events to.",
    "webhook_events_filter": (
        "Which events: a list of ``start``, ``output``, ``logs`` and ``completed``."
    ),
    "webhook_completed": "An https URL for the ``completed`` event only; older than `webhook`.",
    "file_encoding_strategy": "How files are sent; as the client's option says if not given.",
    "upload_progress": (
        "Called a few times a second with the bytes sent, and the bytes of all uploads begun; True"
        " for a progress bar."
    ),
}
_RUN_HELP = {
    "cancel_after": (
        "Seconds, or a duration as ``1h30m``, after which the API cancels the prediction."
    ),
    "stream": "Sent to the API if given; models stream without it.",
}
_PREDICTION_HELP = {
    "wait": "Seconds to hold the request open until there is output; True for 60, the maximum.",
    "prefer": "The `Prefer` header, ``wait`` or ``wait=5``, in place of `wait`.",
}
HELP["TrainingOptions"] = _TRAINING_HELP | HELP["Options"]
HELP["CreateOptions"] = _RUN_HELP | HELP["TrainingOptions"]
HELP["PredictionOptions"] = _PREDICTION_HELP | HELP["CreateOptions"]

TRAINING_OPTIONS = frozenset(_TRAINING_HELP)
CREATE_OPTIONS = TRAINING_OPTIONS.union(_RUN_HELP, _PREDICTION_HELP)
# The parameters that are fields of the request's body.
_BODY_FIELDS = frozenset(("webhook", "webhook_completed", "webhook_events_filter", "stream"))


def split_options(
    options: Mapping[str, Any], names: frozenset[str] = CREATE_OPTIONS
) -> tuple[dict[str, Any], Options]:
    """Split parameters from request options.

    Args:
        options: Both.
        names: The parameters: `CREATE_OPTIONS` or `TRAINING_OPTIONS`.

    Raises:
        TypeError: An option does not exist.

    """
    params: dict[str, Any] = {}
    request_options: Options = {}
    for name, value in options.items():
        if name in names:
            params[name] = value
        elif name in OPTIONS:
            request_options[name] = value  # type: ignore[literal-required]  # it was looked up just now
        elif name in ("api_token", "auth", "bearer_token"):
            raise _unexpected(name, f"a token belongs to a client: client.with_options({name}=…)")
        elif name in CREATE_OPTIONS:
            raise _unexpected(name, "predictions have it, and trainings do not")
        else:
            raise _unexpected(name, f"pass a model's inputs as input={{{name!r}: …}}")
    return params, request_options


def _unexpected(name: str, hint: str) -> TypeError:
    return TypeError(f"unexpected keyword argument {name!r}: {hint}")


def create_headers(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the `Prefer` and `Cancel-After` headers."""
    wait, prefer, cancel_after = (
        params.get("wait"),
        params.get("prefer"),
        params.get("cancel_after"),
    )
    if wait and prefer:
        raise TypeError("cannot mix and match prefer and wait: give one")
    headers = [("Prefer", prefer)] if (prefer := prefer or prefer_header(wait)) else []
    if cancel_after is not None:
        headers.append(("Cancel-After", str(cancel_after)))
    return headers


def prefer_header(wait: bool | float | None) -> str | None:
    """Return the `Prefer` header for a `wait=` argument, None if the request is not held open.

    Raises:
        TypeError: `wait` is neither a bool nor a number.

    """
    if wait is None or wait is False:
        return None
    if wait is True:
        return "wait"
    if not isinstance(wait, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance] - what callers pass is not always typed
        raise TypeError(f"wait must be a bool or a number of seconds, not {type(wait).__name__}")
    return f"wait={int(min(-(-wait // 1), MAX_WAIT))}" if wait else None


def with_cancel_after(options: CreateOptionsT, *, cancel_on_exit: bool) -> CreateOptionsT:
    """Return options that have the API cancel a prediction soon after the caller's deadline.

    It does so even if the caller's process is gone by then.
    """
    asked: CreateOptions = options
    timeout = limit("timeout", asked.get("timeout"))
    if (
        timeout is None
        or not cancel_on_exit
        or options.get("cancel_after") is not None
        or timeout >= MAX_CANCEL_AFTER
    ):
        return options
    # Later than the caller's own deadline, so that the caller gets `PredictionTimeout`.
    changed = options.copy()
    changed["cancel_after"] = max(MIN_CANCEL_AFTER, int(timeout) + 2)
    return changed


def create_path(
    version: str | None,
    model: Ref | tuple[str, str] | None,
    deployment: Ref | tuple[str, str] | None,
) -> tuple[str, ...]:
    """Return the path of the endpoint that creates a prediction.

    Raises:
        ValueError: Not exactly one of the three was given.

    """
    if (version is not None) + (model is not None) + (deployment is not None) != 1:
        raise ValueError("Exactly one of 'model', 'version', or 'deployment' must be specified.")
    if model is not None:
        return ("models", *owner_and_name("model", model), "predictions")
    if deployment is not None:
        return ("deployments", *owner_and_name("deployment", deployment), "predictions")
    return ("predictions",)


def body_fields(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are fields of the request's body, without those that are None."""
    if _BODY_FIELDS.isdisjoint(params):
        return {}
    return {
        name: value for name, value in params.items() if name in _BODY_FIELDS and value is not None
    }
