"""Lists of output files in notebooks.

A `list` has no method for its HTML, so IPython is told how to show lists of files when the first
one is made; it shows all others as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._base.typing import is_array
from .files import find_files, is_file, to_html

if TYPE_CHECKING:
    from typing import Any


def register(ipython: Any) -> None:
    """Let IPython show lists of files as contact sheets, if it runs here and shows HTML.

    Args:
        ipython: The module, as it was imported by the program.

    """
    try:
        # It may be imported without a shell, or be imported just now by another thread.
        formatter = ipython.get_ipython().display_formatter.formatters["text/html"]
        # Terminals show no HTML. What the user has registered stays.
        if formatter.enabled and list not in formatter.type_printers:
            formatter.for_type(list, show_list)
    except (AttributeError, KeyError):
        return


def show_list(value: list[Any]) -> str | None:
    """Return a list of files, or of lists of files, as HTML; None for any other list."""
    if type(value) is not list and (own := getattr(value, "_repr_html_", None)) is not None:
        # IPython looks for functions of base classes before it looks for methods.
        html: str | None = own()
        return html
    if not value or not all(_has_only_files(each) for each in value):
        return None
    return to_html(list(find_files(value)))


def _has_only_files(value: object) -> bool:
    return is_file(value) or (is_array(value) and bool(value) and all(map(is_file, value)))
