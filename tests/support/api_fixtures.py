"""Fixtures: a local server with models of every kind, and a client that checks its answers.

Test modules load them with `pytest_plugins`.
"""

import dataclasses

import pytest

from replicate_rs.local import Settings
from support.local_api import Api
from support.local_models import create_server


@pytest.fixture(scope="module")
def api_server():
    with create_server() as server:
        yield server


@pytest.fixture
def api(api_server):
    yield Api(api_server)
    for field in dataclasses.fields(Settings):
        setattr(api_server.settings, field.name, getattr(Settings(), field.name))


@pytest.fixture(scope="module")
def fuzzed():
    """A server of its own, for requests that leave it full of predictions and files."""
    with create_server() as server:
        yield Api(server)
