"""Signal handlers that raise while an answered create is recorded.

What it created is cancelled, and its span is not the current one any more.
"""

from __future__ import annotations

import pytest
from opentelemetry import context

import replicate_rs as replicate
from support.interrupts import answer, interrupt_everywhere
from support.wire import Wire

pytest_plugins = ["support.telemetry_fixtures"]

CANCEL = "POST /v1/predictions/p1/cancel"


CALLS = {
    "run": lambda client: client.run("acme/x", {}, wait=False),
    "stream": lambda client: [*client.stream("acme/x", {})],
    "relay": lambda client: [*client.relay("acme/x", {})],
    "create": lambda client: client.predictions.create(model="acme/x", input={}),
    "create of a model": lambda client: client.models.predictions.create("acme/x", {}),
    "function": lambda client: client.use("acme/x")(),
    "create of a function": lambda client: client.use("acme/x").create(),
}


# An interrupt may come between the creation of a coroutine and its first step.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_after_the_answer_cancels_what_was_created(name):
    outside = context.get_current()
    with Wire(answer) as wire:
        client = replicate.Replicate("r8_x", base_url=wire.base_url, poll_interval=0.01)
        interrupt_everywhere(wire, lambda: CALLS[name](client), CANCEL)
    assert context.get_current() == outside
