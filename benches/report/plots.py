"""Plots as SVG, written without a library: bars for one figure each, lines for growth."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING, NamedTuple

from contenders import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH = 760
FONT_SIZE = 13
# The approximate width of a character.
ADVANCE = 7.2
# Bars: the width of the figures behind them; heights of a row, of a bar, above and below a panel.
FIGURES, ROW, BAR, ABOVE, BELOW = 130, 24, 14, 34, 54
# Lines: the left and right margins; heights of a panel and below it.
LEFT, RIGHT, PANEL, UNDER = 84, 24, 230, 56
# The CSS class of each kind of bar, and its name in the legend.
KINDS = {
    "ours": ("bar c0", OURS),
    "peer": ("bar peer", "other libraries"),
    "limit": ("limit", "limits: no client library"),
}
# The least distance between the texts of two ticks.
TICK_DISTANCE = 14
# Each line has its own colour (in light and in dark mode) and mark.
COLOURS = [
    ("#0969da", "#58a6ff"),
    ("#bc4c00", "#f0883e"),
    ("#1a7f37", "#3fb950"),
    ("#8250df", "#bc8cff"),
    ("#9a6700", "#d29922"),
    ("#57606a", "#8b949e"),
]
MARKS = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-4-4h8v8h-8z",
    "M0-5l5 9h-10z",
    "M0-6l6 6l-6 6l-6-6z",
    "M0 5l5-9h-10z",
    "M-5-2h10v4h-10z",
]

_LIGHT = "".join(f".c{n}{{color:{light}}}" for n, (light, _) in enumerate(COLOURS))
_DARK = "".join(f".c{n}{{color:{dark}}}" for n, (_, dark) in enumerate(COLOURS))
# The background is painted, since a page in dark mode may show a plot in light mode.
STYLE = "".join(
    [
        f"svg{{color:#1f2328;font:{FONT_SIZE}px system-ui,sans-serif}}",
        "text{fill:currentColor}",
        ".background{fill:#fff}",
        ".grid{stroke:currentColor;stroke-opacity:.18}",
        ".head{font-weight:600}",
        ".s{text-anchor:start}.m{text-anchor:middle}.e{text-anchor:end}",
        ".bar{fill:currentColor}.peer{color:#8c959f}",
        ".limit{fill:none;stroke:currentColor;stroke-dasharray:3 2}",
        ".span{stroke:#1f2328;stroke-width:1.5}",
        ".line{fill:none;stroke:currentColor;stroke-width:2}",
        ".mark{fill:currentColor;stroke:currentColor}.noisy{fill:#fff}",
        _LIGHT,
        "@media(prefers-color-scheme:dark){",
        "svg{color:#e6edf3}.background,.noisy{fill:#0d1117}.span{stroke:#e6edf3}",
        f".peer{{color:#6e7681}}{_DARK}}}",
    ]
)


class Bar(NamedTuple):
    """A bar with its spread."""

    name: str
    value: float
    lowest: float
    highest: float
    kind: str
    """``ours``, ``peer`` or ``limit``."""
    figure: str
    """The text beside the bar."""


class Bars(NamedTuple):
    """One panel of bars."""

    title: str
    axis: str
    bars: Sequence[Bar]


class Dot(NamedTuple):
    """A point of a line."""

    x: float
    y: float
    noisy: bool = False


class Curve(NamedTuple):
    """A contender's line."""

    name: str
    dots: Sequence[Dot]


class Lines(NamedTuple):
    """One panel of lines, on logarithmic axes."""

    title: str
    x_axis: str
    y_axis: str
    curves: Sequence[Curve]


def bar_plot(title: str, panels: Sequence[Bars]) -> str:
    """Return a plot of panels of bars, one below the other."""
    bars = [bar for panel in panels for bar in panel.bars]
    left = 24 + ADVANCE * max(len(bar.name) for bar in bars)
    drawn, top = _bar_legend({bar.kind for bar in bars}), 40.0
    for panel in panels:
        drawn += _bar_panel(panel, top, left)
        top += ABOVE + ROW * len(panel.bars) + BELOW
    return _svg(title, top, drawn)


def _bar_legend(kinds: set[str]) -> list[str]:
    drawn, left = [], 12.0
    for kind in (kind for kind in KINDS if kind in kinds):
        looks, name = KINDS[kind]
        drawn += [
            f'<rect x="{left:.1f}" y="13" width="18" height="12" class="{looks}"/>',
            _text(left + 24, 24, name),
        ]
        left += 48 + ADVANCE * len(name)
    return [
        *drawn,
        _line(left, 19, left + 18, 19, "span"),
        _text(left + 24, 24, "lowest to highest round"),
    ]


def _bar_panel(panel: Bars, top: float, left: float) -> list[str]:
    ticks = _ticks(max(bar.highest for bar in panel.bars))
    scale = (WIDTH - left - FIGURES) / ticks[-1]
    bottom = top + ABOVE + ROW * len(panel.bars)
    drawn = [_text(12, top + 20, panel.title, "head")]
    for tick in ticks:
        x = left + tick * scale
        drawn += [_line(x, top + ABOVE, x, bottom, "grid"), _text(x, bottom + 16, short(tick), "m")]
    drawn.append(_text((left + WIDTH - FIGURES) / 2, bottom + 34, panel.axis, "m"))
    for number, bar in enumerate(panel.bars):
        y = top + ABOVE + ROW * number + (ROW - BAR) / 2
        middle, base = y + BAR / 2, y + BAR - 2
        # Figures beyond the start of Python may be negative.
        width, lowest, highest = (
            max(0, value) * scale for value in (bar.value, bar.lowest, bar.highest)
        )
        drawn += [
            _text(left - 8, base, bar.name, "e"),
            (
                f'<rect x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR}"'
                f' class="{KINDS[bar.kind][0]}"/>'
            ),
            _line(left + lowest, middle, left + highest, middle, "span"),
            _text(left + max(width, highest) + 8, base, bar.figure),
        ]
    return drawn


def line_plot(title: str, panels: Sequence[Lines]) -> str:
    """Return a plot of panels of lines; a contender has the same colour and mark in all."""
    looks = {
        name: n % len(COLOURS)
        for n, name in enumerate(
            dict.fromkeys(curve.name for panel in panels for curve in panel.curves)
        )
    }
    names: dict[str, int | None] = {**looks}
    if any(dot.noisy for panel in panels for curve in panel.curves for dot in curve.dots):
        names["noisy: the rounds differ much"] = None
    drawn, top = _line_legend(names)
    for panel in panels:
        drawn += _line_panel(panel, top, looks)
        top += ABOVE + PANEL + UNDER
    return _svg(title, top, drawn)


def _line_legend(names: dict[str, int | None]) -> tuple[list[str], float]:
    drawn, left, y = [], 12.0, 24
    for name, look in names.items():
        width = 30 + ADVANCE * len(name) + 16
        if left + width > WIDTH:
            left, y = 12.0, y + 22
        if look is None:
            drawn.append(_mark(left + 12, y - 4, 0, "mark noisy"))
        else:
            drawn += [
                f'<g class="c{look}">',
                _line(left, y - 4, left + 24, y - 4, "line"),
                _mark(left + 12, y - 4, look),
                "</g>",
            ]
        drawn.append(_text(left + 30, y, name))
        left += width
    return drawn, y + 10.0


def _line_panel(panel: Lines, top: float, looks: dict[str, int]) -> list[str]:
    dots = [dot for curve in panel.curves for dot in curve.dots]
    sizes = sorted({dot.x for dot in dots})
    ticks = _log_ticks(min(dot.y for dot in dots), max(dot.y for dot in dots))
    bottom, right = top + ABOVE + PANEL, WIDTH - RIGHT

    def across(x: float) -> float:
        # A margin on both sides, so that no mark is on the edge.
        return LEFT + 20 + _share(x, sizes[0], sizes[-1]) * (right - LEFT - 40)

    def down(y: float) -> float:
        return bottom - _share(y, ticks[0], ticks[-1]) * PANEL

    drawn = [_text(12, top + 20, panel.title, "head")]
    for tick in ticks:
        drawn += [
            _line(LEFT, down(tick), right, down(tick), "grid"),
            _text(LEFT - 8, down(tick) + 4, short(tick), "e"),
        ]
    min_left = 0.0
    for size in sizes:
        half = ADVANCE * len(short(size)) / 2
        drawn.append(_line(across(size), top + ABOVE, across(size), bottom, "grid"))
        if across(size) - half >= min_left:
            drawn.append(_text(across(size), bottom + 18, short(size), "m"))
            min_left = across(size) + half + TICK_DISTANCE
    drawn.append(_text((LEFT + right) / 2, bottom + 38, panel.x_axis, "m"))
    middle = (top + ABOVE + bottom) / 2
    drawn.append(
        f'<g transform="translate(20 {middle:.1f})'
        f' rotate(-90)">{_text(0, 0, panel.y_axis, "m")}</g>'
    )
    # The first curve is this library's, and is drawn last, on top of the others.
    for curve in reversed(panel.curves):
        points = [(across(dot.x), down(dot.y)) for dot in curve.dots]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        look = looks[curve.name]
        drawn.append(f'<g class="c{look}"><path class="line" d="M{path}"/>')
        for dot, (x, y) in zip(curve.dots, points, strict=True):
            drawn.append(_mark(x, y, look, "mark noisy" if dot.noisy else "mark"))
        drawn.append("</g>")
    return drawn


def _share(value: float, lowest: float, highest: float) -> float:
    """Return a value's logarithmic position between the lowest (0) and the highest (1).

    The position of a single value is the middle.
    """
    return 0.5 if lowest == highest else log10(value / lowest) / log10(highest / lowest)


def _ticks(highest: float) -> list[float]:
    """Return three to six round numbers from 0 to at least the highest value."""
    step = 10 ** floor(log10(highest)) if highest > 0 else 1.0
    step = next(step * factor for factor in (0.2, 0.5, 1, 2) if highest / (step * factor) <= 5)
    return [step * n for n in range(ceil(highest / step - 1e-9) + 1)]


def _log_ticks(lowest: float, highest: float) -> list[float]:
    """Return round numbers around the lowest and the highest value.

    They are powers of ten, and 2 and 5 times these if there are few.
    """
    powers = range(floor(log10(lowest)), ceil(log10(highest)) + 2)
    factors = (1, 2, 5) if log10(highest / lowest) < 2 else (1,)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    below = max(n for n, tick in enumerate(ticks) if tick <= lowest * (1 + 1e-9))
    above = min(n for n, tick in enumerate(ticks) if tick >= highest * (1 - 1e-9))
    # If lowest and highest are the same round number, the next one completes the range.
    return ticks[below : max(above, below + 1) + 1]


def short(value: float) -> str:
    """Return a short form of a number for an axis: 0.5, 64, 5,000, 16.38 k, 8.389 M."""
    for suffix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= max(factor, 1e4):
            return f"{value / factor:.4g} {suffix}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _mark(x: float, y: float, look: int, kind: str = "mark") -> str:
    return f'<path class="{kind}" transform="translate({x:.1f} {y:.1f})" d="{MARKS[look]}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, content: str, kind: str = "s") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.0f}">{escape(content)}</text>'


def _svg(title: str, height: float, drawn: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">'
    background = '<rect class="background" width="100%" height="100%" rx="6"/>'
    return "\n".join(
        [
            head,
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            background,
            *drawn,
            "</svg>",
            "",
        ]
    )
