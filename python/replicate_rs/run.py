"""Run models until they end."""

from __future__ import annotations

from time import monotonic

from ._base.checks import limit
from ._base.encoding import drop_none
from ._base.operation import unchecked
from ._base.resource import check_resource
from ._base.typing import TYPE_CHECKING, defer_annotations, is_object
from ._predictions.params import MAX_WAIT, with_cancel_after
from ._predictions.polling import Poller, raise_if_failed, raise_timeout
from .exceptions import APITimeoutError, RateLimitError
from .identifier import target_of
from .prediction import Prediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Unpack

    from ._base.resource import Namespace, Resource
    from ._base.session import Session, Sync
    from ._client.types import OnProgress
    from ._predictions.params import CreateOptions
    from ._predictions.types import Wait as Wait
    from ._predictions.types import WaitOptions as WaitOptions
    from .identifier import Ref


# Seconds for which a run holds its create request open. Before the answer the prediction has no id,
# so a caller who leaves may wait so long for the cancel. Polls follow, often at first.
MAX_FIRST_WAIT = 3

# `_files.output.wrap_files`, imported by the first run that needs it.
_wrap_files: Callable[[Any, Session], Any] | None = None


async def run_model(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None = None,
    progress: bool | OnProgress | None = None,
    *,
    wait: Wait | None = None,
    prefer: str | None = None,
    cancel_on_exit: bool = True,
    use_file_output: bool | None = None,
    **options: Unpack[CreateOptions],
) -> Any:
    """Run a model and return its output.

    See https://replicate.com/docs/reference/http#predictions.create.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in it are uploaded.
        progress: Called with the prediction when it is created, after each poll, and when it is
            done; may be async on an async client. True for a progress bar, of tqdm if it is
            installed. The first request is not held open then.
        wait: True (the default) or seconds: hold the first request open for the output, for 3
            seconds at most, then poll.
            False: poll. Or a dict of ``mode`` ("block", "poll"), ``interval`` and ``timeout`` in
            seconds.
        prefer: The same as a header value, ``wait`` or ``wait=5``, as in 2.0.
        cancel_on_exit: Cancel the prediction when this call ends before it: aborted, cancelled,
            interrupted or out of time.
        use_file_output: Return files as `FileOutput` (the default), or as text.
        options: What every prediction takes. `timeout` is in seconds, and limits the whole run:
            uploads, the create, retries, polls, and waits for the API's rate limit. (The client's
            `timeout` limits each part of each request.) Of a `Timeout`, its `total` counts, or else
            its longest part.

    Returns:
        The output, as the model declares it; a list if the model is an iterator.

    Raises:
        ModelError: The model failed; `PredictionCanceled` if it was canceled or aborted.
        PredictionTimeout: `timeout` seconds passed first, or the API's rate limit would not have
            been over before.
        RateLimitError: Without a `timeout`, the API refused for ten minutes, or asked for a delay
            of more than one.
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
    global _wrap_files
    if _wrap_files is None:
        # Kept, because an import statement costs as much as five calls even when it is loaded.
        from ._files.output import wrap_files

        _wrap_files = wrap_files
    return _wrap_files(prediction.output, client._session)


async def run_to_end(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None,
    progress: bool | OnProgress | None = None,
    *,
    wait: Wait | None = None,
    prefer: str | None = None,
    cancel_on_exit: bool = True,
    options: CreateOptions,
) -> Prediction[Any]:
    """Run a model, as `run_model` does, and return the prediction with its whole output."""
    if prefer is not None and wait is not None:
        raise TypeError("cannot mix and match prefer and wait: give one")
    requested: bool | float | None = True
    interval: float | None = None
    if prefer is not None:
        requested = _parse_prefer(prefer)
    elif wait is not None:
        requested, interval = _parse_wait(wait)
    started_at = monotonic()
    timeout = options.get("timeout")
    if timeout is not None:
        timeout = limit("timeout", timeout)
        options = with_cancel_after(options, cancel_on_exit=cancel_on_exit)
    adapter = client._session.adapter
    max_wait = MAX_FIRST_WAIT if adapter is None else adapter.max_first_wait
    first_wait = _first_wait(requested, max_wait, timeout, has_progress=progress is not None)
    try:
        prediction = await create_prediction(
            client, ref, input, {"wait": first_wait, **options}, cancel_on_exit=cancel_on_exit
        )
    except (APITimeoutError, RateLimitError) as error:
        raise_timeout(error, timeout, error.prediction, cancel_on_exit=cancel_on_exit)
    poller: Poller | None = None
    try:
        # The API may answer with the output while the status is still `processing`. The output is
        # complete then, unless the API answered because the wait was over.
        is_complete = prediction.output is not None and monotonic() - started_at < (
            MAX_WAIT if first_wait is True else first_wait or 0
        )
        if progress is not None or not (is_complete or prediction.is_done):
            poller = Poller(
                client,
                interval=interval,
                progress=progress,
                cancel_on_exit=cancel_on_exit,
                signal=options.get("signal"),
                timeout=timeout,
                started_at=started_at,
            )
            prediction = await poller.run_until_done(prediction)
    except BaseException as error:
        # A signal handler may raise between any two calls, also before the poller is at work.
        if poller is None:
            poller = Poller(client, cancel_on_exit=cancel_on_exit)
        poller.on_exit(error, prediction)
        raise
    if prediction.status != "succeeded":
        raise_if_failed(prediction)
    return prediction


def _parse_wait(wait: Any) -> tuple[bool | float | None, float | None]:
    """Return the seconds to wait for the create (True: the most), and the interval of polls."""
    if not is_object(wait):
        return wait, None
    interval, timeout = wait.get("interval"), wait.get("timeout")
    if wait.get("mode") == "poll":
        return None, interval
    return True if timeout is None else timeout, interval


def _parse_prefer(prefer: str) -> bool | float:
    """Return the seconds of a `Prefer` header, True if it has none."""
    _, equals, seconds = prefer.partition("=")
    return float(seconds) if equals else True


def _first_wait(
    requested: bool | float | None, max_wait: float, timeout: float | None, *, has_progress: bool
) -> bool | float | None:
    """Return the `wait` of a run's create: seconds, True for the API's maximum, or None."""
    if not requested or has_progress:
        return None
    if requested is True and timeout is None and max_wait >= MAX_WAIT:
        return True
    seconds = max_wait if requested is True else min(requested, max_wait)
    # If the deadline passed during the wait, the caller's error could not name the prediction.
    seconds = seconds if timeout is None else min(seconds, timeout // 1 - 1)
    return seconds if seconds >= 1 else None


async def create_prediction(
    client: Resource[Any],
    ref: Ref,
    input: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    *,
    cancel_on_exit: bool = True,
) -> Prediction[Any]:
    """Create a prediction of the model or version that a reference names.

    A method that a test has put in the place of the client's own is called instead of it.
    """
    version, model = target_of(ref)
    replacement = None
    if getattr(client, "_namespaces", None):
        from ._base.replacements import get_replacement

        if model is not None:
            replacement = get_replacement(client, "models.predictions", "create")
        replacement = replacement or get_replacement(client, "predictions", "create")
    answer: Any
    if replacement is None:
        answer = unchecked(Predictions.create)(
            client, version, input, model=model, cancel_on_exit=cancel_on_exit, **options
        )
    else:
        target = {"version": version} if model is None else {"model": str(model)}
        answer = replacement(**target, input=input or {}, **drop_none(**options))
    if hasattr(answer, "__await__"):
        answer = await answer
    # Without a call: a signal handler that runs during one may raise, and the caller could not
    # cancel the prediction.
    if answer.__class__ is Prediction or isinstance(answer, Prediction):
        return answer  # pyright: ignore[reportUnknownVariableType] - of whatever mode
    # What a test returned instead: a dict, or an object with some attributes of a prediction.
    fields = (
        answer
        if is_object(answer)
        else {name: getattr(answer, name) for name in Prediction.fields if hasattr(answer, name)}
    )
    if not isinstance(fields.get("status"), str):
        fields = {**fields, "status": "succeeded"}
    return Prediction._of(fields, client._session)


def run(
    client: Namespace[Sync], ref: Ref, input: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """Return `client.run(ref, input, **options)`, as in 1.0.7.

    Args:
        client: A client.
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in them are uploaded.
        options: The options of the client's method.

    """
    found: Any = check_resource("client", client)
    return found.run(ref, input, **options)


async def async_run(
    client: Namespace[Sync], ref: Ref, input: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """Return `client.async_run(ref, input, **options)`, as in 1.0.7.

    Args:
        client: A client.
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        input: The model's inputs; files in them are uploaded.
        options: The options of the client's method.

    """
    found: Any = check_resource("client", client)
    return await found.async_run(ref, input, **options)


defer_annotations(globals())
