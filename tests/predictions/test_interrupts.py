"""Signal handlers that raise after a create was answered: what it created is cancelled."""

import pytest

import replicate_rs as replicate
from support.interrupts import Interruption, answer, interrupt_everywhere
from support.wire import Wire, prediction, reply

CREATE = "POST /v1/models/acme/x/predictions"
CANCEL = "POST /v1/predictions/p1/cancel"
CANCEL_TRAINING = "POST /v1/trainings/p1/cancel"


def plain(request, send):
    return send(request)


def consume(items):
    for _ in items:
        pass


CALLS = {
    "run": lambda client: client.run("acme/x", {}, wait=False),
    "run with progress": lambda client: client.run("acme/x", {}, progress=id),
    "stream": lambda client: consume(client.stream("acme/x", {})),
    "text_stream": lambda client: consume(client.text_stream("acme/x", {})),
    "relay": lambda client: consume(client.relay("acme/x", {})),
    "create": lambda client: client.predictions.create(model="acme/x", input={}),
    "create of a model": lambda client: client.models.predictions.create("acme/x", {}),
    "function": lambda client: client.use("acme/x")(),
    "create of a function": lambda client: client.use("acme/x").create(),
    "streaming function": lambda client: client.use("acme/x", streaming=True)(),
    "training": lambda client: client.trainings.create(
        model="acme/x", version="v1", input={}, destination="acme/y"
    ),
}


# An interrupt may come between the creation of a coroutine and its first step.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("fetch", [None, plain])
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_after_the_answer_cancels_what_was_created(name, fetch):
    cancel = CANCEL_TRAINING if name == "training" else CANCEL
    with Wire(answer) as wire:
        client = replicate.Replicate(
            "r8_x", base_url=wire.base_url, fetch=fetch, poll_interval=0.01
        )
        interrupt_everywhere(wire, lambda: CALLS[name](client), cancel)


def test_an_interrupt_of_a_repeated_request_cancels_what_that_created():
    """A `fetch=` may send a request again."""

    def twice(request, send):
        send(request)
        with Interruption(0, lambda: len(wire.seen) == 2):
            return send(request)

    def answer_each(seen):
        return reply(prediction("starting", id=f"p{len(wire.seen)}"), 201)

    with Wire(answer_each) as wire:
        client = replicate.Replicate("r8_x", base_url=wire.base_url, fetch=twice)
        with pytest.raises(KeyboardInterrupt):
            client.predictions.create(model="acme/x", input={})
        wire.until(lambda: wire.routes == [CREATE, CREATE, "POST /v1/predictions/p2/cancel"])
