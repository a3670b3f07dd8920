"""Running a model to its end: several requests in a row."""

from __future__ import annotations

from time import monotonic

from ._checks import interval as checked_interval
from ._checks import limit
from ._operation import resource
from ._typing import TYPE_CHECKING, TypeVar, is_object
from .course import Course, check_limits, give_up, items_of, raise_if_failed
from .creation import LONGEST_HOLD, hold
from .exceptions import APITimeoutError
from .file_output import outputs
from .identifier import target_of
from .prediction import Prediction, Predictions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from typing import Any, Literal, TypeAlias, TypedDict, Unpack

    from ._checks import Limit, Seconds
    from ._core import AbortSignal
    from ._operation import Resource
    from .client import Replicate
    from .course import OnProgress
    from .creation import CreateOptions
    from .identifier import Ref
    from .job import Job

    class WaitOptions(TypedDict, total=False):
        """How `run` waits."""

        mode: Literal["block", "poll"]
        """Hold the first request open, or poll from the start."""
        interval: Seconds
        """Seconds between polls."""
        timeout: Seconds
        """Seconds to hold the first request open; 60 at most, and if not given."""

    Wait: TypeAlias = bool | Seconds | WaitOptions

J = TypeVar("J", bound="Job")


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
        progress: Called with the prediction when it is created, after each poll, and when it is done; may be async on an
            async client.
        wait: True (the default) or seconds: hold the first request open that long for the output, then poll. False: poll.
            Or a dict of ``mode`` ("block", "poll"), ``interval`` and ``timeout`` in seconds.
        prefer: The same as a header value, ``wait`` or ``wait=5``, as in 2.0.
        cancel_on_exit: Cancel the prediction when this call ends before it: aborted, cancelled, interrupted or out of time.
        use_file_output: Give files as `FileOutput` (the default), or as text.
        options: What every prediction takes; `timeout` is over all of it.

    Raises:
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        PredictionTimeout: `timeout` seconds passed first.
        AbortError: The signal was aborted; if it was beforehand, nothing was sent.

    """
    if prefer is not None and wait is not None:
        raise TypeError("cannot mix and match prefer and wait: give one")
    block, interval = (True, None) if wait is None and prefer is None else _waiting(wait if prefer is None else _seconds(prefer))
    interval = client._session.poll_interval if interval is None else interval
    timeout, began = limit("timeout", options.get("timeout")), monotonic()
    if timeout is not None or interval is not None:
        check_limits(interval, timeout)
    version, model = target_of(ref)
    try:
        prediction = await Predictions.create(client, version, input, model=model, wait=block, **options)
    except APITimeoutError as error:
        give_up(error, timeout, None)
    output = prediction.output
    # The blocking create may answer before the output is committed: what it has is all there is, if the hold had not run out.
    whole = output is not None and monotonic() - began < (LONGEST_HOLD if block is True else block or 0)
    if progress is not None or not (whole or prediction.is_done):
        signal = options.get("signal")
        course = Course(client, interval, progress, cancel_on_exit=cancel_on_exit, signal=signal, timeout=timeout, began=began)
        prediction = await course.follow(prediction, done=whole)
        output = prediction.output
    if prediction.status != "succeeded":
        raise_if_failed(prediction)
    files = client._session.use_file_output if use_file_output is None else use_file_output
    return outputs(output, client._session) if files else output


def run(client: Replicate, ref: Ref, input: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """Do the same as `client.run`; 1.0.7 has it here."""
    found: Any = resource("client", client)
    return found.run(ref, input, **options)


async def async_run(client: Replicate, ref: Ref, input: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """Do the same as `client.async_run`; 1.0.7 has it here."""
    found: Any = resource("client", client)
    return await found.async_run(ref, input, **options)


async def started(client: Resource[Any], ref: Ref, input: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Prediction:
    """Create the prediction that a reference names."""
    version, model = target_of(ref)
    return await Predictions.create(client, version, input, model=model, **options)


async def wait_for(
    client: Resource[Any],
    prediction: Prediction,
    *,
    interval: Seconds | None = None,
    progress: OnProgress | None = None,
    cancel_on_exit: bool = False,
    signal: AbortSignal | None = None,
    timeout: Limit | None = None,
) -> Prediction:
    """Poll until a prediction has ended.

    Args:
        prediction: What to wait for; it is not changed.
        interval: Seconds between polls; the client's `poll_interval` if not given; without either, the client finds its own.
        progress: Called with the prediction after each poll.
        cancel_on_exit: Cancel the prediction when this call ends before it.
        signal: Stops the call.
        timeout: Seconds for all of it.

    Returns:
        The prediction as it ended.

    Raises:
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        PredictionTimeout: `timeout` passed first.
        AbortError: The signal was aborted.

    """
    between = None if interval is None else checked_interval("interval", interval)
    total = limit("timeout", timeout)
    course = Course(client, between, progress, cancel_on_exit=cancel_on_exit, signal=signal, timeout=total)
    prediction = await course.follow(prediction)
    raise_if_failed(prediction)
    return prediction


async def follow(client: Resource[Any], job: J, *, signal: AbortSignal | None, timeout: float | None) -> J:
    """Poll until a prediction or a training has ended, however it ends."""
    course = Course(client, None, None, cancel_on_exit=False, signal=signal, timeout=timeout)
    return await course.follow(job)


async def increments(
    client: Resource[Any], prediction: Prediction, *, signal: AbortSignal | None, timeout: float | None
) -> AsyncGenerator[list[Any], None]:
    """Poll, and give what the output's list has more each time."""
    course = Course(client, None, None, cancel_on_exit=False, signal=signal, timeout=timeout, watched=True)
    seen = len(items_of(prediction))
    while True:
        items = items_of(prediction)
        if fresh := items[seen:]:
            yield outputs(fresh, client._session) if client._session.use_file_output else fresh
        seen = max(seen, len(items))
        if prediction.is_done:
            break
        prediction = await course.poll(prediction)
    raise_if_failed(prediction)


def _waiting(wait: Any) -> tuple[bool | float | None, float | None]:
    """Give what to pass to `create`, and the interval of polls."""
    if wait is None:
        return True, None
    if not is_object(wait):
        hold(wait)
        return wait, None
    if unknown := set(wait) - {"mode", "interval", "timeout"}:
        raise TypeError(f"wait has no option {unknown.pop()!r}: mode, interval or timeout")
    mode = wait.get("mode", "block")
    if mode not in ("block", "poll"):
        raise ValueError(f"wait['mode'] must be 'block' or 'poll', not {mode!r}")
    interval = wait.get("interval")
    if mode == "poll":
        return None, interval
    timeout = wait.get("timeout")
    hold(timeout)
    return True if timeout is None else timeout, interval


def _seconds(prefer: str) -> bool | float:
    """Read a `Prefer` header."""
    name, equals, seconds = prefer.partition("=")
    if name != "wait" or (equals and not seconds.isdigit()):
        raise ValueError(f"prefer must be 'wait' or 'wait=' and seconds, not {prefer!r}")
    return float(seconds) if equals else True
