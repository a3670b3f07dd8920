"""Fixtures for tests of `map`: a local server with models, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conftest import Both
from replicate_rs._batch import lookup, pace, rate, saving
from support.mapping import MapServer, create_server


@pytest.fixture
def server() -> Iterator[MapServer]:
    server = create_server()
    with server:
        yield server
        server.gate.set()


@pytest.fixture
def map_client(both: Both, server: MapServer) -> Iterator[Any]:
    client = both.client(server.base_url, poll_interval=0.01)
    yield client
    both(client.aclose if both.is_async else client.close)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten waits: the local server lists each prediction at once, and recovers quickly."""
    monkeypatch.setattr(lookup, "MAX_DELAY", 0.2)
    monkeypatch.setattr(lookup, "INTERVAL", 0.05)
    monkeypatch.setattr(saving, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(pace, "DEFAULT_PAUSE", 0.05)
    monkeypatch.setattr(rate, "DEFAULT_PAUSE", 0.05)
