"""Modules that are imported by name, when they are first used."""

from PyInstaller.utils.hooks import collect_submodules

# The local server has a hook of its own, and is left out of programs that do not import it.
_OTHERS = ("replicate_rs.local", "replicate_rs.pytest_plugin", "replicate_rs.__pyinstaller")

hiddenimports = [
    *collect_submodules("replicate_rs", filter=lambda name: not name.startswith(_OTHERS)),
    # What the extension imports.
    "asyncio",
    "contextvars",
    "json",
    "logging",
    "threading",
]
excludedimports = ["pytest"]
