"""Run one fault with one client of this library, and judge the outcome."""

from __future__ import annotations

import re
import threading
import time
import traceback
from typing import Any, NamedTuple

import replicate_rs
from chaos.fault import USUAL, Error, Fault, Value
from chaos.operations import OPERATIONS, Call
from chaos.server import TOKEN, Stage
from conftest import Both

ANSWER, ERROR, FAILURE = "right answer", "clear error", "FAILURE"
# Seconds after which a call counts as hanging.
MAX_SECONDS = 8.0
# Bytes of memory that a call may take; a response may have 64 MiB.
MAX_MEMORY = 100_000_000


class Verdict(NamedTuple):
    """The outcome, and the reason for a failure."""

    verdict: str
    detail: str = ""


class Outcome:
    """The result or error of a call and its duration; all are None if the call hangs."""

    result: Any = None
    error: BaseException | None = None
    seconds: float | None = None


def run(fault: Fault, both: Both) -> Verdict:
    """Run a fault with a `Replicate` or an `AsyncReplicate`."""
    stage = fault.stage()
    try:
        outcome, grown = _call(fault, both, stage)
        problem = (
            _outcome_problem(fault, outcome)
            or _leak(stage, outcome.error)
            or _resource_problem(fault, stage, grown)
            or (
                ""
                if fault.check(stage)
                else f"the servers received {stage.home.routes} and {stage.other.routes}"
            )
        )
        detail = "" if problem or outcome.error is None else _shown(outcome.error)
    except Exception as error:
        # For example, an error with a text that raises.
        problem = f"cannot be judged: {_shown(error)}"
    finally:
        stage.close()
    if problem:
        return Verdict(FAILURE, problem)
    return Verdict(ERROR, detail) if outcome.error is not None else Verdict(ANSWER)


def _call(fault: Fault, both: Both, stage: Stage) -> tuple[Outcome, int]:
    outcome = Outcome()
    clients: list[Any] = []

    def call() -> None:
        start = time.monotonic()
        try:
            client = both.client(fault.address(stage), **({"api_token": TOKEN} | fault.options))
            clients.append(client)
            own = {} if fault.deadline is None else {"timeout": fault.deadline}
            do = OPERATIONS[fault.operation].do
            outcome.result = do(
                Call(client, both, fault.argument, own, stage.home.origin, both.is_async)
            )
        except BaseException as error:
            outcome.error = error
        outcome.seconds = time.monotonic() - start

    before = _peak(reset=True) if fault.grows else 0
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(MAX_SECONDS)
    grown = _peak() - before if fault.grows else 0
    for client in clients:
        client.close()
    return outcome, grown


def _peak(*, reset: bool = False) -> int:
    """Return the peak memory of this process since the last reset, in bytes."""
    if reset:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) * 1024


def _outcome_problem(fault: Fault, outcome: Outcome) -> str:
    if outcome.seconds is None:
        return f"hangs: not done after {MAX_SECONDS} s"
    shortest, longest = fault.lasts
    if not shortest <= outcome.seconds <= longest:
        return f"took {outcome.seconds:.2f} s, not {shortest} to {longest}"
    expected = fault.expected if isinstance(fault.expected, tuple) else (fault.expected,)
    problems = [_problem(each, fault, outcome) for each in expected]
    return "" if "" in problems else "; ".join(problems)


def _problem(expected: Error | Value, fault: Fault, outcome: Outcome) -> str:
    error = outcome.error
    if isinstance(expected, Value):
        if error is not None:
            return f"raised {_shown(error)}"
        value = OPERATIONS[fault.operation].usual if expected is USUAL else expected.value
        return (
            ""
            if outcome.result == value
            else f"returned {outcome.result!r:.300}, not {value!r:.300}"
        )
    if error is None:
        return f"returned {outcome.result!r:.300}, not {expected.kind}"
    kind = (
        getattr(replicate_rs.exceptions, expected.kind, None)
        or {"ValueError": ValueError, "TypeError": TypeError}[expected.kind]
    )
    if not isinstance(error, kind):
        return f"raised {_shown(error)}, not {expected.kind}"
    if not re.search(expected.words, str(error)):
        return f"the error text is {str(error)!r:.300}, without {expected.words!r}"
    if any(not (each.isprintable() or each == "\n") for each in str(error)):
        return f"the error text is {str(error)!r:.300}, with control characters"
    return (
        ""
        if expected.check(error)
        else f"the attributes of {_shown(error)} are wrong: {vars(error)!r:.300}"
    )


def _leak(stage: Stage, error: BaseException | None) -> str:
    if any(
        TOKEN in f"{each} {each.headers}" or TOKEN.encode() in each.body
        for each in stage.other.seen
    ):
        return "the token was sent to another origin"
    if any(TOKEN.encode() in each.body for each in stage.home.seen):
        return "the token was sent in a body"
    if error is None:
        return ""
    text = "".join(traceback.format_exception(error)) + repr(error) + str(error) + repr(error.args)
    while error is not None:
        text += repr(vars(error))
        error = error.__cause__ or error.__context__
    return "the error contains the token" if TOKEN in text else ""


def _resource_problem(fault: Fault, stage: Stage, grown: int) -> str:
    posts = stage.home.posts
    if posts > 1 if fault.posts is None else posts != fault.posts:
        return f"{posts} POSTs"
    if grown > MAX_MEMORY:
        return f"took {grown / 1e6:.0f} MB"
    for server in stage:
        try:
            server.until(lambda server=server: server.open_now == 0, fault.settles)
        except AssertionError:
            return f"{server.open_now} connections are left open"
    return ""


def _shown(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)!r:.300}"
