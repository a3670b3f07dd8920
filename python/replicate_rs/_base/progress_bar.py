"""Progress bars: HTML in notebooks; elsewhere those of tqdm if it is installed, else a line.

This module is imported by the first call with ``progress=True``, and imports tqdm then.
"""

from __future__ import annotations

import sys
from os import get_terminal_size, getpid
from threading import Lock
from time import monotonic

from .typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from typing import Any, Protocol, TextIO

    class Display(Protocol):
        """Where a bar is drawn."""

        interval: float

        def draw(self, bar: ProgressBar) -> None:
            """Draw the bar's present state."""
            ...

        def close(self, bar: ProgressBar) -> None:
            """Draw the last state of the bar, and end it."""
            ...


# Seconds between two drawings of a bar, at least.
INTERVAL = 0.25
# Seconds that the last drawing of a bar waits for the drawing of another one, at most.
MAX_WAIT = 1.0
# Characters of a label.
MAX_LABEL = 60
# Columns of a terminal whose size is not known.
COLUMNS = 80

# Held while a bar is drawn. Nobody waits for it but a bar's last drawing, for `MAX_WAIT` at most:
# a signal handler or a forked child may find it held by a thread that does not go on.
_drawing = Lock()
# Open bars without tqdm, in the order of their first drawing. Only the first one is shown, since
# they share a line.
_lines: list[Line] = []


class ProgressBar:
    """A progress bar, drawn a few times a second; its methods may be called from any thread.

    They never raise: a bar that cannot be drawn is given up.

    Args:
        total: What `done` grows to; None if it is not known.
        unit: What is counted, in the plural: "files". "B" stands for bytes, and "%" for a
            percentage, whose total is 100.
        label: The text before the bar.

    """

    def __init__(self, total: float | None, unit: str, label: str) -> None:
        self.total: float | None = total
        self.unit: str = unit
        self.label: str = to_printable(label)[:MAX_LABEL]
        self.done: float = 0
        self.figures: dict[str, object] = {}
        self.started_at: float = monotonic()
        self._next_drawing = 0.0
        self._display: Display | None = None
        self._is_over = False
        self._process = getpid()

    def update(self, done: float, total: float | None = None, **figures: object) -> None:
        """Set what is done, and the total if it is given.

        Figures are shown after the bar, with their names; they stay until they are set again, and
        None removes one.
        """
        self.done = done
        if total is not None:
            self.total = total
        if figures:
            self.figures = {**self.figures, **figures}
        if monotonic() >= self._next_drawing:
            self._draw(is_last=False)

    def close(self) -> None:
        """Draw the last state, if there was any, and leave it; further calls do nothing."""
        if self._next_drawing:
            self._draw(is_last=True)
        self._is_over = True

    def describe_figures(self) -> str:
        """Return the figures as text."""
        return ", ".join(
            to_printable(f"{name.replace('_', ' ')} {format_figure(value)}")
            for name, value in self.figures.items()
            if value is not None
        )

    def _draw(self, *, is_last: bool) -> None:
        # A forked child does not draw its parent's bars.
        if self._is_over or self._process != getpid():
            return
        if not _drawing.acquire(blocking=is_last, timeout=MAX_WAIT if is_last else -1):
            return
        try:
            display = self._display
            if display is None:
                self._display = display = open_display(self)
            if display is None:
                self._is_over = True
                return
            if is_last:
                display.close(self)
            else:
                display.draw(self)
            self._next_drawing = monotonic() + display.interval
        except Exception:  # noqa: BLE001 - a stream of the caller's or tqdm may raise anything
            self._is_over = True
            if isinstance(self._display, Line):
                _lines.remove(self._display)
        finally:
            _drawing.release()


def open_display(bar: ProgressBar) -> Display | None:
    """Return where a bar is drawn; None for nowhere."""
    if is_notebook():
        return NotebookBar()
    stream: TextIO | None = sys.stderr
    # `pythonw` has no stderr.
    if stream is None:
        return None
    try:
        return Tqdm(bar)
    except Exception:  # noqa: BLE001 - it is not installed, or of another version; it may warn
        return Line(stream) if stream.isatty() else None


class Tqdm:
    """A bar of tqdm."""

    def __init__(self, bar: ProgressBar) -> None:
        from tqdm import tqdm  # type: ignore[import-untyped] # its stubs are not installed

        options: dict[str, Any] = {"unit": f" {bar.unit}"}
        if bar.unit == "B":
            options = {"unit": "B", "unit_scale": True}
        elif bar.unit == "%":
            options = {"bar_format": "{l_bar}{bar}| [{elapsed}{postfix}]"}
        # With a delay the constructor does not draw.
        self._bar: Any = tqdm(total=bar.total, desc=bar.label, smoothing=0, delay=1e-9, **options)
        if not self._bar.disable:
            # Its clock has another zero.
            self._bar.start_t -= monotonic() - bar.started_at
        # TQDM_MININTERVAL in the environment sets it. Bars disabled by TQDM_DISABLE have none.
        self.interval: float = max(INTERVAL, getattr(self._bar, "mininterval", INTERVAL))

    def draw(self, bar: ProgressBar) -> None:
        """Draw the bar's present state."""
        self._show(bar, is_last=False)

    def close(self, bar: ProgressBar) -> None:
        """Draw the last state, and leave it; but that of a bar below another one is removed."""
        self._show(bar, is_last=True)

    def _show(self, bar: ProgressBar, *, is_last: bool) -> None:
        shown = self._bar
        if shown.disable:
            return
        try:
            shown.total = bar.total
            shown.n = bar.done
            shown.set_postfix_str(bar.describe_figures(), refresh=False)
            if is_last:
                shown.leave = shown.pos == 0
                shown.close()
            else:
                # Unlike this, `refresh` keeps the lock if the stream raises an exception.
                with shown.get_lock():
                    shown.display()
        except Exception:
            # Its finalizer would draw once more.
            shown.disable = True
            raise


class Line:
    """A line of a terminal."""

    interval: float = INTERVAL

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._width = 0
        _lines.append(self)

    def draw(self, bar: ProgressBar) -> None:
        """Draw the bar's present state, unless another bar has the line."""
        if _lines[0] is not self:
            return
        try:
            columns = get_terminal_size(self._stream.fileno()).columns or COLUMNS
        except OSError:
            columns = COLUMNS
        # The last column is left free: some terminals begin a new line after it.
        text = describe(bar)[: columns - 1]
        self._stream.write(f"\r{text.ljust(min(self._width, columns - 1))}")
        self._stream.flush()
        self._width = len(text)

    def close(self, bar: ProgressBar) -> None:
        """Draw the last state, and begin a new line."""
        self.draw(bar)
        _lines.remove(self)
        if self._width:
            self._stream.write("\n")
            self._stream.flush()


def is_notebook() -> bool:
    """Return whether this is a notebook."""
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    # IPython's shell in a terminal has no kernel.
    return get_shell is not None and getattr(get_shell(), "kernel", None) is not None


class NotebookBar:
    """An element of HTML that is replaced a few times a second; needs no other package."""

    interval: float = INTERVAL

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, bar: ProgressBar) -> None:
        """Draw the bar's present state."""
        from importlib import import_module

        # Not imported by name: its types are unknown, and it need not be installed.
        display: Any = import_module("IPython.display").display
        state = NotebookState(bar)
        if self._handle is None:
            self._handle = display(state, display_id=True)
        else:
            self._handle.update(state)

    def close(self, bar: ProgressBar) -> None:
        """Draw the last state, and leave it."""
        self.draw(bar)


class NotebookState:
    """A bar's present state, as a notebook shows it."""

    def __init__(self, bar: ProgressBar) -> None:
        self._text = describe(bar)
        # Without a value, browsers draw a bar that moves.
        self._value = f' value="{bar.done:g}" max="{bar.total:g}"' if bar.total else ""

    def _repr_html_(self) -> str:
        from html import escape

        return (
            f'<progress{self._value} style="vertical-align:middle"></progress> {escape(self._text)}'
        )

    def __repr__(self) -> str:
        return self._text


def describe(bar: ProgressBar) -> str:
    """Return a bar's state as a line of text."""
    done, total = bar.done, bar.total
    if bar.unit == "%":
        state = f"{done:.0f}%"
    elif bar.unit == "B":
        state = format_bytes(done) + ("" if total is None else f" of {format_bytes(total)}")
    else:
        state = f"{done:,.0f}{'' if total is None else f' of {total:,.0f}'} {bar.unit}"
    parts = (state, f"{monotonic() - bar.started_at:.0f} s", bar.describe_figures())
    return f"{bar.label}: {', '.join(filter(None, parts))}"


def format_bytes(count: float) -> str:
    """Return a number of bytes with a unit."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} GB"


def format_figure(value: object) -> str:
    """Return a figure as text."""
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else f"{value}"


def to_printable(text: str) -> str:
    """Return a text without characters that control a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


defer_annotations(globals())
