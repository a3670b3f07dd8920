"""Signal handlers that raise after a create was answered: what it created is cancelled."""

import opcode
import sys

import pytest

import replicate_rs as replicate
from support.wire import Wire, done, output, prediction, reply

CREATE = "POST /v1/models/acme/x/predictions"
CANCEL = "POST /v1/predictions/p1/cancel"
TRAIN = "POST /v1/models/acme/x/versions/v1/trainings"
CANCEL_TRAINING = "POST /v1/trainings/p1/cancel"
# After these instructions, CPython calls the handlers of signals that have arrived.
CHECKS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD", "RESUME"}


def answer(seen):
    route = f"{seen.method} {seen.path}"
    if route in (CREATE, TRAIN):
        urls = {"stream": f"http://{seen.headers['host']}/v1/stream/p1"}
        return reply(prediction("starting", urls=urls), 201)
    if route in (CANCEL, CANCEL_TRAINING):
        return reply(prediction("canceled"))
    if seen.path == "/v1/stream/p1":
        return reply(output("x") + done(), kind="text/event-stream")
    return reply(prediction("succeeded", output="x"))


class Interruption:
    """Raise where a signal handler may run: at the `number`-th place after the first answer."""

    def __init__(self, number):
        self.number = number
        self.place = None
        self._is_armed = False
        # The instruction that each frame executed last, by the frame's id.
        self._last = {}

    def __enter__(self):
        self._before = sys.gettrace()
        # CPython 3.12 traces instructions only if a frame has asked for it before.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _trace(self, frame, event, _):
        code = frame.f_code
        if "replicate_rs" not in code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "call" and frame.f_back is not None:
            # Calls of Python functions check at their beginning, not after their end.
            self._last[id(frame.f_back)] = None
        elif event == "exception":
            self._last[id(frame)] = None
        elif event == "opcode":
            now = opcode.opname[code.co_code[frame.f_lasti]]
            before, self._last[id(frame)] = self._last.get(id(frame)), now
            if not self._is_armed:
                # The blocking wait for the response has just returned.
                self._is_armed = code.co_qualname == "Blocking.finish" and before == "CALL"
            # What is awaited is a coroutine, which a Python function returns before it begins.
            if self._is_armed and before in CHECKS and now != "GET_AWAITABLE":
                self.number -= 1
                if self.number < 0:
                    self.place = f"{code.co_qualname}:{frame.f_lineno}"
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return self._trace


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
        CALLS[name](client)  # imports what it needs
        number = 0
        while True:
            wire.seen.clear()
            with Interruption(number) as interruption:
                try:
                    CALLS[name](client)
                    break
                except KeyboardInterrupt:
                    routes = wire.routes
            if any(route.startswith("GET") for route in routes):
                # The call has gone on to its next request.
                break
            wire.until(lambda: cancel in wire.routes)
            assert wire.routes.count(cancel) == 1, interruption.place
            number += 1
        assert number
