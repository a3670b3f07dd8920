"""Race conditions in the local server."""

import asyncio
import gc
import sys
import weakref

import pytest

from replicate_rs.local.api.output import OutputEndpoints
from replicate_rs.local.models.capture import capture_output, restore_output
from replicate_rs.local.models.model import Definition
from replicate_rs.local.models.signature import Signature
from replicate_rs.local.settings import Settings
from replicate_rs.local.state import State


def say() -> str:
    return "said"


@pytest.fixture
def state():
    state = State(Settings(idle=5.0), "local", [])
    yield state
    state.close()


@pytest.fixture
def prediction(state):
    model = state.register(
        Definition(name="acme/say", function=say, signature=Signature("acme/say", say))
    )
    return state.add_prediction("predictions", model, model.versions[-1], {})


def test_what_happens_while_events_are_sent_is_sent_too(state, prediction):
    async def main():
        events = OutputEndpoints(state).events(prediction, 0)
        prediction.start(1.0)
        prediction.log("line\n")
        sent = [await anext(events), await anext(events)]
        prediction.fail(2.0, "OOM")
        return sent, [each async for each in events]

    (greeting, log), rest = asyncio.run(main())
    assert greeting == b": hi\n\n"
    assert log.endswith(b"event: logs\ndata: line\ndata: \n\n")
    assert (
        b"".join(rest)
        == b'event: error\ndata: {"detail": "OOM"}\n\nevent: done\ndata: {"reason": "error"}\n\n'
    )


@pytest.mark.parametrize("steps", range(5))
def test_no_event_is_missed_whenever_it_comes(state, prediction, steps):
    async def main():
        events = OutputEndpoints(state).events(prediction, 0)
        await anext(events)
        prediction.start(1.0)
        pending = asyncio.ensure_future(anext(events))
        for _ in range(steps):
            await asyncio.sleep(0)
        prediction.succeed(2.0, "said")
        sent = [await asyncio.wait_for(pending, 1), *[each async for each in events]]
        return b"".join(sent)

    assert asyncio.run(main()).endswith(b"event: output\ndata: said\n\nevent: done\ndata: {}\n\n")


def test_what_a_model_prints_to_outlives_the_print():
    capture_output()
    stream = weakref.ref(sys.stdout)
    restore_output()
    gc.collect()
    assert stream() is not None
    assert stream() is not sys.stdout
    capture_output()
    assert stream() is sys.stdout
    restore_output()
