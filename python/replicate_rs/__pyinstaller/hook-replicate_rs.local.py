"""The web page's templates, and modules that dependencies import by name."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("replicate_rs.local", includes=["page/templates/*"])
hiddenimports = [
    *collect_submodules("replicate_rs.local", filter=lambda name: not name.endswith("__main__")),
    *collect_submodules("python_multipart"),
    "anyio._backends._asyncio",
    "uvicorn.lifespan.off",
    "uvicorn.loops.auto",
    "uvicorn.loops.asyncio",
    "uvicorn.protocols.http.h11_impl",
]
