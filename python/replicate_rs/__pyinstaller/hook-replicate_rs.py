"""Modules that are imported by name on first use, and the package `replicate` of `drop_in`."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

# The local server has its own hook, and is not added to programs that do not import it.
_EXCLUDED = ("replicate_rs.local", "replicate_rs.pytest_plugin", "replicate_rs.__pyinstaller")

hiddenimports = [
    *collect_submodules("replicate_rs", filter=lambda name: not name.startswith(_EXCLUDED)),
    # Imported by the extension module.
    "asyncio",
    "contextvars",
    "json",
    "logging",
    "threading",
]
# Copied as files, because the package is also found by its metadata.
datas = collect_data_files("replicate_rs.drop_in", subdir="site", include_py_files=True)
excludedimports = ["pytest"]
