"""PyInstaller hooks, found through the entry point `pyinstaller40`."""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    """Return the folders that contain hooks."""
    return [os.path.dirname(__file__)]  # noqa: PTH120 - PyInstaller expects strings
