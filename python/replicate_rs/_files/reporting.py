"""Report how far transfers of files have come."""

from __future__ import annotations

from .._base.transport import Blocking
from .._base.typing import TYPE_CHECKING, TypeVar, defer_annotations

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from .._base.progress_bar import ProgressBar
    from .._base.transport import Transport
    from .._core import AbortSignal, Core, Pending

T = TypeVar("T")

# Seconds between two calls of a progress function.
PROGRESS_INTERVAL = 0.05
# Seconds that a transfer which is given up may take to end.
MAX_CLEANUP = 1.0


class Reporter:
    """Calls a caller's progress function; with True, updates a progress bar that ``with`` closes.

    Args:
        progress: The caller's argument.
        unit: What the bar counts; "B" for bytes.
        label: What the bar is about.

    """

    def __init__(
        self, progress: bool | Callable[[int, Any], object] | None, unit: str, label: str
    ) -> None:
        self._function = progress if callable(progress) else None
        self._bar: ProgressBar | None = None
        if progress is True:
            from .._base.progress_bar import ProgressBar

            self._bar = ProgressBar(None, unit, label)
        self.is_wanted: bool = progress is not None and progress is not False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: int, total: int | None, **figures: object) -> None:
        """Report; only a bar shows figures."""
        if self._bar is not None:
            self._bar.update(done, total, **figures)
        elif self._function is not None:
            self._function(done, total)


async def finish_reporting(
    transport: type[Transport],
    core: Core,
    pending: Pending[T],
    report: Callable[[], object],
    signal: AbortSignal | None,
) -> T:
    """Wait for a request, and call a function several times a second meanwhile."""
    pending.begin()
    try:
        while (
            await transport.finish(core.first([pending], limit=PROGRESS_INTERVAL, signal=signal))
            is None
        ):
            report()
    except BaseException as error:
        pending.give_up()
        # A coroutine that is cancelled or closed does not wait any more.
        if transport is Blocking or isinstance(error, Exception):
            # When the caller sees the error, temporary files are gone.
            await transport.finish(core.first([pending], limit=MAX_CLEANUP))
        raise
    return await transport.finish(pending)


defer_annotations(globals())
