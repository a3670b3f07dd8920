"""The engine that blocking calls share, in the state of a new process."""

import replicate_rs as replicate
from support.wire import Wire, reply

# After two threads have called at the same time, so many blocking calls use the runtime, which has
# connections of its own (`CALLS_ON_RUNTIME` in src/python/process.rs).
CALLS_ON_RUNTIME = 256


def forget_simultaneous_calls():
    """Have the next blocking calls use the engine, whatever other tests of this process did."""
    with Wire(lambda _: reply({"type": "user", "username": "x"})) as wire:
        with replicate.Replicate("r8_x", base_url=wire.base_url) as client:
            for _ in range(CALLS_ON_RUNTIME):
                client.accounts.current()
