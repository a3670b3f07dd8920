"""Fetching a page of predictions."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contenders import OURS, TOKEN, check_prediction
from contenders.request_sockets import socket_get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    # Returns a page of 100 predictions: an object, a dict, or JSON.
    GetPage = Callable[[], Any]
    # The same for any number of predictions a page.
    GetSizedPage = Callable[[int], Any]


# Predictions of a usual page.
PAGE_SIZE = 100


def check_page(page: Any) -> None:
    """Raise ValueError unless this is a page of 100 predictions."""
    if isinstance(page, bytes):
        page = json.loads(page)
    results = page["results"] if isinstance(page, dict) else page.results
    if len(results) != PAGE_SIZE:
        raise ValueError(f"wrong answer: {len(results)} predictions")
    check_prediction(results[-1])


@contextmanager
def _ours(origin: str) -> Iterator[GetPage]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        yield client.predictions.list


@contextmanager
def _1_0_7(origin: str) -> Iterator[GetPage]:
    import replicate

    client = replicate.Client(TOKEN, base_url=origin)
    yield client.predictions.list


@contextmanager
def _httpx(origin: str) -> Iterator[GetPage]:
    import httpx

    with httpx.Client() as client:
        yield lambda: client.get(f"{origin}/v1/predictions").json()


def page_decoder() -> Callable[[bytes], Any]:
    """Return a function of msgspec that decodes a page to objects with all fields."""
    import msgspec

    required: list[Any] = [
        (name, str) for name in ("id", "model", "version", "status", "created_at")
    ]
    objects: list[Any] = [("input", dict[str, Any]), ("urls", dict[str, str])]
    optional: list[Any] = [("output", Any, None), ("metrics", dict[str, Any] | None, None)]
    optional += [
        (name, str | None, None) for name in ("logs", "error", "started_at", "completed_at")
    ]
    prediction = msgspec.defstruct("Prediction", required + objects + optional)
    links: list[Any] = [(name, str | None, None) for name in ("next", "previous")]
    page = msgspec.defstruct("Page", [("results", list[prediction]), *links])  # type: ignore[valid-type]  # created at run time
    return msgspec.json.Decoder(page).decode


@contextmanager
def _msgspec(origin: str) -> Iterator[GetPage]:
    from pyreqwest.client import SyncClientBuilder

    decode = page_decoder()
    with SyncClientBuilder().build() as client:
        yield lambda: decode(bytes(client.get(f"{origin}/v1/predictions").build().send().bytes()))


PAGES: dict[str, Callable[[str], AbstractContextManager[GetPage]]] = {
    OURS: _ours,
    "1.0.7": _1_0_7,
    "httpx": _httpx,
    "pyreqwest + msgspec": _msgspec,
    "bare socket, not read": lambda origin: socket_get(f"{origin}/v1/predictions", bytes),
}


@contextmanager
def _sized_ours(origin: str) -> Iterator[GetSizedPage]:
    import replicate_rs

    with replicate_rs.Replicate(TOKEN, base_url=origin) as client:
        yield lambda size: client.predictions.list(extra_query={"limit": size})


@contextmanager
def _sized_httpx(origin: str) -> Iterator[GetSizedPage]:
    import httpx

    with httpx.Client() as client:
        yield lambda size: client.get(f"{origin}/v1/predictions", params={"limit": size}).json()


@contextmanager
def _sized_pyreqwest(origin: str) -> Iterator[GetSizedPage]:
    from pyreqwest.client import SyncClientBuilder

    with SyncClientBuilder().build() as client:
        yield lambda size: client.get(f"{origin}/v1/predictions?limit={size}").build().send().json()


SIZED_PAGES: dict[str, Callable[[str], AbstractContextManager[GetSizedPage]]] = {
    OURS: _sized_ours,
    "httpx": _sized_httpx,
    "pyreqwest": _sized_pyreqwest,
}
