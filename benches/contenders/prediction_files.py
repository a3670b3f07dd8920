"""Files of predictions: one sent within an input, and all of an output saved at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from contenders import OURS, TOKEN
from contenders.files import FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from contenders.file_sockets import FileFunctions

    # Takes URLs and an empty folder.
    SaveAll = Callable[[list[str], Path], Any]

VERSION = "a" * 64
THREADS = 16


@contextmanager
def _inline_ours(origin: str) -> Iterator[Callable[[Path], Any]]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        create = client.predictions.create
        yield lambda path: create(
            version=VERSION, input={"file": path}, file_encoding_strategy="base64"
        )


@contextmanager
def _inline_1_0_7(origin: str) -> Iterator[Callable[[Path], Any]]:
    from replicate.client import Client

    client = Client(TOKEN, base_url=origin)

    def create(path: Path) -> Any:
        with path.open("rb") as file:
            return client.predictions.create(
                version=VERSION, input={"file": file}, file_encoding_strategy="base64"
            )

    yield create


INLINE: dict[str, Callable[[str], AbstractContextManager[Callable[[Path], Any]]]] = {
    OURS: _inline_ours,
    "1.0.7": _inline_1_0_7,
}


@contextmanager
def _all_ours(origin: str) -> Iterator[SaveAll]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        yield lambda urls, folder: replicate_rs.save_all(
            [replicate_rs.FileOutput(url, client) for url in urls], folder
        )


@contextmanager
def _all_ours_async(origin: str) -> Iterator[SaveAll]:
    import replicate_rs

    async def save(urls: list[str], folder: Path) -> Any:
        return await replicate_rs.asave_all(
            [replicate_rs.FileOutput(url, client) for url in urls], folder
        )

    with asyncio.Runner() as runner:
        client = replicate_rs.AsyncReplicate(TOKEN, base_url=origin)
        yield lambda urls, folder: runner.run(save(urls, folder))


@contextmanager
def _all_in_threads(
    library: Callable[[str, str | None], AbstractContextManager[FileFunctions]], origin: str
) -> Iterator[SaveAll]:
    with library(origin, None) as functions, ThreadPoolExecutor(THREADS) as threads:

        def save(url: str, target: Path) -> None:
            target.write_bytes(functions.read(url))

        def save_all(urls: list[str], folder: Path) -> None:
            targets = [folder / url.rpartition("/")[2] for url in urls]
            for _ in threads.map(save, urls, targets):
                pass

        yield save_all


SAVE_ALL: dict[str, Callable[[str], AbstractContextManager[SaveAll]]] = {
    OURS: _all_ours,
    f"{OURS}, async": _all_ours_async,
    **{
        f"{name}, {THREADS} threads": partial(_all_in_threads, FILES[name])
        for name in ("1.0.7", "httpx", "pyreqwest")
    },
}
