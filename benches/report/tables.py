"""Tables of sections, as text for a terminal and as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from contenders import OURS
from report.results import MAX_SPREAD

if TYPE_CHECKING:
    from report.results import Row, Section

RATIO, FAST_RATIO = f"{OURS} better by", "fast ratio"


def number(value: float) -> str:
    """Return a number with at least three digits, and commas between thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(value: float | None) -> str:
    """Return a ratio as text; None is the ratio of a noisy figure."""
    return "noisy" if value is None else f"{number(value)} x"


def unit(name: str) -> str:
    """Return a unit with µs in place of the ASCII us."""
    return re.sub(r"\bus\b", "µs", name)


def cells(section: Section) -> list[list[str]]:
    """Return a section's table: the head, then a line for each contender, with notes at the end.

    Columns without content are left out.
    """
    cpu = f"CPU {section.cpu_unit}" if section.cpu_unit else ""
    more = [*dict.fromkeys(name for row in section.rows for name in row.more)]
    fast = cpu and f"fast {cpu}"
    head = ["", section.unit, "lowest .. highest", cpu, fast, RATIO, FAST_RATIO, *more, ""]
    lines = [head, *(_row_cells(section, row, more) for row in section.rows)]
    columns = [
        column
        for column in range(len(head))
        if any(line[column] for line in lines[1:]) or column == len(head) - 1
    ]
    return [[line[column] for column in columns] for line in lines]


def _row_cells(section: Section, row: Row, more: list[str]) -> list[str]:
    has_ratio = section.row(OURS) is not None and not row.contender.startswith(OURS)
    fast_ratio = section.fast_ratio(row)
    notes = {
        f"rounds differ by more than {MAX_SPREAD} x": row.is_noisy,
        "limited by the server": row.is_server_bound,
        f"crashed {row.crashes} x at exit": row.crashes,
    }
    return [
        row.contender,
        number(row.median),
        f"{number(row.lowest)} .. {number(row.highest)}",
        "" if row.cpu is None else number(row.cpu),
        "" if row.fast_cpu is None or row.cpu is None else number(row.fast_cpu),
        times(section.ratio(row)) if has_ratio else "",
        "" if fast_ratio is None else times(fast_ratio),
        *(number(row.more[name]) if name in row.more else "" for name in more),
        "; ".join(note for note, applies in notes.items() if applies),
    ]


def remarks(section: Section) -> list[str]:
    """Return what stands below a table: the failures, and the time of Python's own start."""
    lines = [f"{name} failed: {reason}" for name, reason in section.failures.items()]
    if section.bare is not None:
        lines.append(f"Python itself starts in {number(section.bare)} ms, which is subtracted.")
    return lines


def text_table(section: Section) -> str:
    """Return a section's table for a terminal."""
    lines = cells(section)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [f"{section.job}: {section.title}"]
    # Without rows, every contender failed.
    for name, *figures, notes in lines if section.rows else ():
        padded = [cell.rjust(width) for cell, width in zip(figures, widths[1:-1], strict=True)]
        text.append("   ".join(["  " + name.ljust(widths[0]), *padded, notes]).rstrip())
    return "\n".join([*text, *(f"  {remark}" for remark in remarks(section))])


def markdown(lines: list[list[str]]) -> list[str]:
    """Return a Markdown table, with text in the first and last columns and numbers between."""
    head, *rest = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    marks = ["---", *["--:"] * (len(head) - 2), "---"]
    return [_line(head), f"|{'|'.join(marks)}|", *map(_line, rest)]


def _line(texts: list[str]) -> str:
    return "|" + "".join(f" {text} |" if text else " |" for text in texts)
