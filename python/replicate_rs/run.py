"""Running a model to its end: several requests in a row."""

from __future__ import annotations

from time import monotonic

from ._base.checks import interval as checked_interval
from ._base.checks import limit
from ._base.encoding import drop_none
from ._base.operation import unchecked
from ._base.resource import check_resource
from ._base.typing import TYPE_CHECKING, defer_annotations, is_object
from ._predictions.params import LONGEST_HOLD, guarded
from ._predictions.polling import Course, give_up, raise_if_failed
from .exceptions import APITimeoutError
from .identifier import target_of
from .prediction import Prediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Unpack

    from ._base.checks import Limit, Seconds
    from ._base.resource import Resource
    from ._base.session import Session
    from ._client.types import OnProgress
    from ._core import AbortSignal
    from ._predictions.params import CreateOptions
    from ._predictions.types import Wait as Wait
    from ._predictions.types import WaitOptions as WaitOptions
    from .client import Replicate
    from .identifier import ModelVersionIdentifier, Ref


# Seconds: the longest hold of a run's create. Until a held create is answered its prediction has no
# id, so this is how long a caller who leaves may have to wait for the cancel. From then on the
# prediction is asked for, often at first.
FIRST_HOLD = 3

# What makes files of a prediction's output, once the first was run.
_outputs: Callable[[Any, Session], Any] | None = None


async def run_model(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    progress: OnProgress | None = None,
    *,
    wait: Wait | None = None,
    prefer: str | None = None,
    cancel_on_exit: bool = True,
    use_file_output: bool | None = None,
    **options: Unpack[CreateOptions],
) -> Any:
    """Run a model and return its output.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in it are uploaded.
        progress: Called with the prediction when it is created, after each poll, and when it is
            done; may be async on an async client. The first request is not held open then.
        wait: True (the default) or seconds: hold the first request open for the output, for 3
            seconds at most, then poll.
            False: poll. Or a dict of ``mode`` ("block", "poll"), ``interval`` and ``timeout`` in
                seconds.
        prefer: The same as a header value, ``wait`` or ``wait=5``, as in 2.0.
        cancel_on_exit: Cancel the prediction when this call ends before it: aborted, cancelled,
            interrupted or out of time.
        use_file_output: Give files as `FileOutput` (the default), or as text.
        options: What every prediction takes. `timeout` is in seconds, and limits all of the run:
            uploads, the create, retries and polls. (The client's `timeout` limits each part of each
            request.) Of a `Timeout`, its `total` does, or else its longest part.

    Raises:
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        PredictionTimeout: `timeout` seconds passed first.
        AbortError: The signal was aborted; if it was beforehand, nothing was sent.

    """
    prediction = await run_to_end(
        client,
        ref,
        input,
        progress,
        wait=wait,
        prefer=prefer,
        cancel_on_exit=cancel_on_exit,
        options=options,
    )
    files = client._session.use_file_output if use_file_output is None else use_file_output
    if not files:
        return prediction.output
    global _outputs
    if _outputs is None:
        # Loaded late, and kept: an import of what is loaded already costs as much as five calls.
        from ._files.output import outputs

        _outputs = outputs
    return _outputs(prediction.output, client._session)


async def run_to_end(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None,
    progress: OnProgress | None = None,
    *,
    wait: Wait | None = None,
    prefer: str | None = None,
    cancel_on_exit: bool = True,
    options: CreateOptions,
) -> Prediction[Any]:
    """Run a model and return the prediction with its whole output; takes and raises what
    `run_model` does.
    """
    if prefer is not None and wait is not None:
        raise TypeError("cannot mix and match prefer and wait: give one")
    block, interval = _waiting(wait) if prefer is None else (_seconds(prefer), None)
    timeout, began = limit("timeout", options.get("timeout")), monotonic()
    adapter = client._session.adapter
    longest = FIRST_HOLD if adapter is None else adapter.first_hold
    hold = _first_hold(block, longest, timeout, has_progress=progress is not None)
    version, model = target_of(ref)
    if timeout is not None:
        options = guarded(options, cancel_on_exit=cancel_on_exit)
    try:
        prediction = await created(
            client, version, model, input, {"wait": hold, **options}, cancel_on_exit=cancel_on_exit
        )
    except APITimeoutError as error:
        give_up(error, timeout, error.prediction, is_cancelled=cancel_on_exit)
    # The held create may answer before the output is committed: what it has is all there is, if the
    # hold had not run out.
    whole = prediction.output is not None and monotonic() - began < (
        LONGEST_HOLD if hold is True else hold or 0
    )
    if progress is not None or not (whole or prediction.is_done):
        signal = options.get("signal")
        course = Course(
            client,
            interval,
            progress,
            cancel_on_exit=cancel_on_exit,
            signal=signal,
            timeout=timeout,
            began=began,
        )
        prediction = await course.follow(prediction)
    if prediction.status != "succeeded":
        raise_if_failed(prediction)
    return prediction


def _first_hold(
    block: bool | float | None, longest: float, timeout: float | None, *, has_progress: bool
) -> bool | float | None:
    """Return for how many seconds a create is held open, at most `longest`; True for as long as the
    API allows.
    """
    if not block or has_progress:
        return None
    if block is True and timeout is None and longest >= LONGEST_HOLD:
        return True
    most = longest if block is True else min(block, longest)
    # A deadline that passes within the hold would leave the caller without a prediction to name.
    most = most if timeout is None else min(most, timeout // 1 - 1)
    return most if most >= 1 else None


def run(client: Replicate, ref: Ref, input: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """Do the same as `client.run`; 1.0.7 has it here."""
    found: Any = check_resource("client", client)
    return found.run(ref, input, **options)


async def async_run(
    client: Replicate, ref: Ref, input: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """Do the same as `client.async_run`; 1.0.7 has it here."""
    found: Any = check_resource("client", client)
    return await found.async_run(ref, input, **options)


async def started(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    *,
    cancel_on_exit: bool = True,
) -> Prediction[Any]:
    """Create the prediction that a reference names."""
    version, model = target_of(ref)
    return await created(client, version, model, input, options, cancel_on_exit=cancel_on_exit)


async def created(
    client: Resource[Any],
    version: str | None,
    model: ModelVersionIdentifier | None,
    input: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    *,
    cancel_on_exit: bool,
) -> Prediction[Any]:
    """Create a prediction, through what a test has put in the place of the client's method, if it
    has.
    """
    found = None
    if getattr(client, "_namespaces", None):
        from ._base.replacements import get_replacement

        found = None if model is None else get_replacement(client, "models.predictions", "create")
        found = found or get_replacement(client, "predictions", "create")
    answer: Any
    if found is None:
        answer = unchecked(Predictions.create)(
            client, version, input, model=model, cancel_on_exit=cancel_on_exit, **options
        )
    else:
        target = {"version": version} if model is None else {"model": str(model)}
        answer = found(**target, input=input or {}, **drop_none(**options))
    if hasattr(answer, "__await__"):
        answer = await answer
    if isinstance(answer, Prediction):
        return answer  # pyright: ignore[reportUnknownVariableType] - of whatever mode
    # A stand-in for one: a dict, or an object with some of its attributes.
    fields = (
        answer
        if is_object(answer)
        else {name: getattr(answer, name) for name in Prediction.fields if hasattr(answer, name)}
    )
    if not isinstance(fields.get("status"), str):
        fields = {**fields, "status": "succeeded"}
    prediction: Prediction[Any] = Prediction._of(fields, client._session)
    return prediction


async def wait_for(
    client: Resource[Any],
    prediction: Prediction[Any],
    *,
    interval: Seconds | None = None,
    progress: OnProgress | None = None,
    cancel_on_exit: bool = False,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> Prediction[Any]:
    """Poll until a prediction has ended; takes and raises what `client.wait` does."""
    between = None if interval is None else checked_interval("interval", interval)
    total = limit("timeout", timeout)
    course = Course(
        client, between, progress, cancel_on_exit=cancel_on_exit, signal=signal, timeout=total
    )
    prediction = await course.follow(prediction)
    raise_if_failed(prediction)
    return prediction


def _waiting(wait: Any) -> tuple[bool | float | None, float | None]:
    """Give what to pass to `create`, and the interval of polls."""
    if wait is None:
        return True, None
    if not is_object(wait):
        return wait, None
    interval, timeout = wait.get("interval"), wait.get("timeout")
    if wait.get("mode") == "poll":
        return None, interval
    return True if timeout is None else timeout, interval


def _seconds(prefer: str) -> bool | float:
    """Read a `Prefer` header."""
    _, equals, seconds = prefer.partition("=")
    return float(seconds) if equals else True


defer_annotations(globals())
