"""How far a call of `map` is: a progress bar, or a function of the caller's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from .._base.progress_bar import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds between two calls of a caller's function.
INTERVAL = 0.25


def _to_duration(seconds: float) -> str:
    """Return seconds as text: ``1:02:03``."""
    return str(timedelta(seconds=round(seconds)))


@dataclass(frozen=True, slots=True)
class State:
    """What a call has done so far, in numbers of inputs."""

    done: int
    failed: int
    running: int
    ended: int
    """Inputs that ended in this call, and not before."""
    predict_time: float
    """Seconds that the model ran."""


@dataclass(frozen=True, slots=True)
class MapProgress:
    """How far a call of `map` is."""

    total: int | None
    """The number of inputs; None if they have no length."""
    done: int
    """Inputs with a result: those that failed and those of the journal, too."""
    failed: int
    running: int
    per_minute: float
    """Inputs that ended in this call, a minute."""
    seconds_left: float | None
    """Seconds until the end at this pace; None if that is not known."""
    predict_seconds: float
    """Seconds that the model ran in this call, in all runs together."""


class Display:
    """Shows the progress of one call."""

    def __init__(
        self,
        function: Callable[[MapProgress], object] | None,
        total: int | None,
        label: str,
    ) -> None:
        self._function = function
        self._total = total
        self._bar = None if function is not None else ProgressBar(total, "inputs", label)
        self._begun_at = monotonic()
        self._next_call = 0.0

    @classmethod
    def of(
        cls, progress: bool | Callable[[MapProgress], object] | None, total: int | None, label: str
    ) -> Display | None:
        """Return the display that ``progress=`` asks for; None for none."""
        if not progress:
            return None
        return cls(None if isinstance(progress, bool) else progress, total, label)

    def update(self, get_state: Callable[[], State]) -> None:
        """Show the present state, a few times a second."""
        now = monotonic()
        if now >= self._next_call:
            self._next_call = now + INTERVAL
            self._show(get_state())

    def close(self, state: State) -> None:
        """Show the last state."""
        self._show(state)
        if self._bar is not None:
            self._bar.close()

    def _show(self, state: State) -> None:
        progress = self._to_progress(state)
        if self._function is not None:
            self._function(progress)
        elif self._bar is not None:
            left = progress.seconds_left
            self._bar.update(
                progress.done,
                self._total,
                failed=progress.failed or None,
                running=progress.running,
                per_minute=round(progress.per_minute, 1),
                left=None if left is None else _to_duration(left),
                predict_seconds=round(progress.predict_seconds, 1),
            )

    def _to_progress(self, state: State) -> MapProgress:
        seconds = max(monotonic() - self._begun_at, 1e-3)
        per_minute = state.ended / seconds * 60
        left = None
        if self._total is not None and per_minute:
            left = (self._total - state.done) / per_minute * 60
        return MapProgress(
            total=self._total,
            done=state.done,
            failed=state.failed,
            running=state.running,
            per_minute=per_minute,
            seconds_left=left,
            predict_seconds=state.predict_time,
        )
