"""Signal handlers that raise, at every place at which CPython may run one."""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from support.wire import Seen, Wire, done, output, prediction, reply

# After these instructions, CPython calls the handlers of signals that have arrived.
CHECKS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD", "RESUME"}
# Stands for a call of a Python function that has returned.
PYTHON = "a Python function"


class Interruption:
    """Raise where a signal handler may run: at the `number`-th place after the first answer.

    Args:
        number: Which place.
        has_begun: Returns whether the first request was sent. It is sent while the caller blocks.

    """

    def __init__(self, number: int, has_begun: Callable[[], bool]) -> None:
        self.number = number
        self._has_begun = has_begun
        self.place: str | None = None
        self._is_armed = False
        # The instruction that each frame executed last, by the frame's id.
        self._last: dict[int, str | None] = {}

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        # CPython 3.12 traces instructions only if a frame has asked for it before.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if "replicate_rs" not in code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "call":
            # Calls of Python functions check at their beginning, which is not traced as an
            # instruction, and not after their end.
            self._last[id(frame)] = "RESUME"
            if frame.f_back is not None:
                self._last[id(frame.f_back)] = PYTHON
        elif event == "exception":
            self._last[id(frame)] = None
        elif event == "opcode":
            now = opcode.opname[code.co_code[frame.f_lasti]]
            before, self._last[id(frame)] = self._last.get(id(frame)), now
            is_check = before in CHECKS
            self._is_armed = self._is_armed or self._has_begun()
            # What is awaited is a coroutine, which a Python function returns before it begins.
            if self._is_armed and is_check and now != "GET_AWAITABLE":
                self.number -= 1
                if self.number < 0:
                    self.place = f"{code.co_qualname}:{frame.f_lineno}"
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return self._trace


def answer(seen: Seen) -> bytes:
    """Answer creates of predictions and trainings, their cancels, streams and polls."""
    if seen.method == "POST":
        if seen.path.endswith("/cancel"):
            return reply(prediction("canceled"))
        urls = {"stream": f"http://{seen.headers['host']}/v1/stream/p1"}
        return reply(prediction("starting", urls=urls), 201)
    if seen.path == "/v1/stream/p1":
        return reply(output("x") + done(), kind="text/event-stream")
    return reply(prediction("succeeded", output="x"))


def interrupt_everywhere(wire: Wire, call: Callable[[], object], cancel: str) -> None:
    """Repeat a call that creates something, and interrupt it at one place each time.

    The places are those between the answer to the first request and the second request. After each
    interrupt, the request `cancel` must be sent once.
    """
    call()  # imports what it needs
    number = 0
    while True:
        wire.seen.clear()
        with Interruption(number, lambda: bool(wire.seen)) as interruption:
            try:
                call()
                routes = None
            except KeyboardInterrupt:
                routes = wire.routes
        if interruption.place is None:
            break
        number += 1
        if routes is None:
            # It was raised in a callback, whose errors are printed.
            continue
        if any(route.startswith("GET") for route in routes):
            # The call has gone on to its next request.
            break
        wire.until(lambda: cancel in wire.routes)
        assert wire.routes.count(cancel) == 1, interruption.place
    assert number > 1
