"""Fixtures for tests of options: a server, and a module whose assigned options are removed."""

import pytest

import replicate_rs as replicate
from support.wire import Wire, prediction, reply


@pytest.fixture
def wire():
    with Wire(lambda _: reply(prediction(output="x"))) as wire:
        yield wire


@pytest.fixture(autouse=True)
def module():
    """Remove the options that a test assigns to the module."""
    yield
    for name in [*vars(replicate)]:
        if name in replicate._OPTIONS:
            delattr(replicate, name)
