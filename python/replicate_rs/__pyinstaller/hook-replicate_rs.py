"""Modules that are imported by name when they are first used, and the package `replicate` that
`drop_in` puts on the path.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

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
# Files, as those of an installed package: it is found by its metadata too.
datas = collect_data_files("replicate_rs.drop_in", subdir="site", include_py_files=True)
excludedimports = ["pytest"]
