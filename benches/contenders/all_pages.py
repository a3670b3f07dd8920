"""Reading all pages of a list, one page after another."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contenders import OURS, TOKEN
from contenders.pages import page_decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    # Takes the path of the first page, and yields the id and the status of each prediction.
    ReadAll = Callable[[str], Iterator[tuple[str, str]]]


@contextmanager
def _ours(origin: str) -> Iterator[ReadAll]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:

        def read_all(path: str) -> Iterator[tuple[str, str]]:
            for prediction in client.predictions.list(path).auto():
                yield prediction.id, prediction.status

        yield read_all


@contextmanager
def _1_0_7(origin: str) -> Iterator[ReadAll]:
    import replicate

    client = replicate.Client(TOKEN, base_url=origin)

    def read_all(path: str) -> Iterator[tuple[str, str]]:
        cursor: str | None = path
        while cursor is not None:
            page: Any = client.predictions.list(cursor)
            for prediction in page.results:
                yield prediction.id, prediction.status
            cursor = page.next

    yield read_all


@contextmanager
def _httpx(origin: str) -> Iterator[ReadAll]:
    import httpx

    with httpx.Client() as client:

        def read_all(path: str) -> Iterator[tuple[str, str]]:
            url: str | None = origin + path
            while url is not None:
                page = client.get(url).json()
                for prediction in page["results"]:
                    yield prediction["id"], prediction["status"]
                url = page["next"]

        yield read_all


@contextmanager
def _msgspec(origin: str) -> Iterator[ReadAll]:
    from pyreqwest.client import SyncClientBuilder

    decode = page_decoder()
    with SyncClientBuilder().build() as client:

        def read_all(path: str) -> Iterator[tuple[str, str]]:
            url: str | None = origin + path
            while url is not None:
                page = decode(bytes(client.get(url).build().send().bytes()))
                for prediction in page.results:
                    yield prediction.id, prediction.status
                url = page.next

        yield read_all


ALL_PAGES: dict[str, Callable[[str], AbstractContextManager[ReadAll]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "httpx + hand": _httpx,
    "pyreqwest + msgspec": _msgspec,
}
