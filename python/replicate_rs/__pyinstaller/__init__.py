"""Tells PyInstaller what of this package its own search does not find; it asks through the entry
point `pyinstaller40`.
"""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    """Return the folders with hooks."""
    return [os.path.dirname(__file__)]  # noqa: PTH120 - as PyInstaller wants them
