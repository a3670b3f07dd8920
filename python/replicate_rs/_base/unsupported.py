"""Why the compiled module cannot be loaded. This module is imported only then."""

from __future__ import annotations

import platform
import sys
import sysconfig
from pathlib import Path

SUPPORTED = (
    "CPython 3.11 or newer on Linux (x86-64 and aarch64, glibc 2.17 or newer, or musl 1.2),"
    " macOS and Windows"
)


def describe(error: ImportError) -> str:
    """Return a message that names this Python and platform, what is supported, and the remedy."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        python += " (free-threaded)"
    folder = Path(__file__).parents[1]
    found = sorted(each.name for each in folder.glob("_core.*") if each.suffix != ".pyi")
    if not found:
        cause = f"{folder} contains no compiled module"
    elif isinstance(error, ModuleNotFoundError):
        cause = f"{folder} contains it for another Python or platform: {', '.join(found)}"
    else:
        cause = str(error)
    return (
        f"replicate_rs cannot load its compiled module with {python} on"
        f" {sysconfig.get_platform()}: {cause}. Supported are {SUPPORTED}. Install the package"
        f" with the Python and on the platform that run it: {sys.executable or 'python'} -m pip"
        " install --force-reinstall replicate-rs (in a clone: make setup)"
    )
