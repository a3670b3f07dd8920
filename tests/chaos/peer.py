"""Run one fault with `replicate` 1.0.7, in a process with limited time and memory.

As a program, this is that process: it reads one call and prints its outcome.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from typing import Any

if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from chaos.operations import OPERATIONS, Call

MAX_SECONDS = 8.0
MAX_MEMORY = 500_000_000
# Options that 1.0.7 has in some form; faults that need other options do not apply to it.
KNOWN = {"max_retries", "timeout", "poll_interval", "headers", "api_token"}


def run(fault: Any) -> str:
    """Return the verdict on 1.0.7 in a few words."""
    from chaos.fault import USUAL, Value
    from chaos.server import TOKEN

    token = fault.options.get("api_token", TOKEN)
    operation = OPERATIONS[fault.operation]
    if (
        not operation.theirs
        or set(fault.options) - KNOWN
        or not isinstance(token, str)
        or "\0" in token
    ):
        return "n/a"
    stage = fault.stage()
    try:
        done = _process(fault, fault.address(stage), stage.home.origin, token)
        if not isinstance(done, dict):
            return done
        posts = stage.home.posts
        allowed = 1 if fault.posts is None else max(fault.posts, 1)
        if posts > allowed:
            return f"{posts} POSTs"
        if any(token in f"{each} {each.headers}" for each in stage.other.seen):
            return "leaks the token"
        if "error" in done:
            return "leaks the token" if token in done["text"] else done["error"]
        expected = fault.expected if isinstance(fault.expected, tuple) else (fault.expected,)
        values = [
            operation.usual if each is USUAL else each.value
            for each in expected
            if isinstance(each, Value)
        ]
        return "right answer" if done["value"] in values and fault.check(stage) else "wrong answer"
    finally:
        stage.close()


def _process(fault: Any, base_url: str, origin: str, token: str) -> Any:
    timeout = fault.options.get("timeout")
    limits = (
        [fault.deadline]
        if timeout is None
        else [getattr(timeout, name, timeout) for name in ("total", "read", "connect")]
    )
    seconds = min((each for each in limits if isinstance(each, (int, float))), default=None)
    call = {
        "operation": fault.operation,
        "argument": fault.argument,
        "base_url": base_url,
        "origin": origin,
        "token": token,
        "timeout": seconds,
        "headers": fault.options.get("headers", {}),
    }
    environment = os.environ | {"REPLICATE_POLL_INTERVAL": "0.01"}
    command = [sys.executable, __file__]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(call),
            env=environment,
            capture_output=True,
            text=True,
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "hang"
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return "out of memory" if "MemoryError" in done.stderr else "crash"


def _call(call: dict[str, Any]) -> dict[str, Any]:
    import httpx
    import replicate
    from replicate.exceptions import ReplicateException

    more: dict[str, Any] = (
        {} if call["timeout"] is None else {"timeout": httpx.Timeout(call["timeout"])}
    )
    argument = tuple(call["argument"]) if isinstance(call["argument"], list) else call["argument"]
    try:
        # The base URL of 1.0.7 has no version in it.
        base_url = re.sub("/v1$", "", call["base_url"])
        client = replicate.Client(call["token"], base_url=base_url, headers=call["headers"], **more)
        value = OPERATIONS[call["operation"]].do(
            Call(client, lambda do: do(), argument, {}, call["origin"], is_ours=False)
        )
        return {"value": value}
    except MemoryError:
        return {"error": "out of memory", "text": ""}
    except Exception as error:
        text = f"{error} {error!r}"
        if isinstance(error, ReplicateException):
            return {"error": "clear error", "text": text}
        family = (
            "raw httpx."
            if isinstance(error, (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError))
            else "raw "
        )
        return {"error": family + type(error).__name__, "text": text}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    print(json.dumps(_call(json.load(sys.stdin))))
