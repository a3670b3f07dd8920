"""A worker of a simulation: `map` over a part of the inputs, with the journal of all workers.

It prints a line when it is ready, waits for one, and prints its CPU time and how long it ran.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import replicate_rs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def create_inputs(first: int, count: int) -> Iterator[dict[str, Any]]:
    """Create inputs, of which each has a text of its own."""
    for number in range(first, first + count):
        yield {
            "prompt": f"an iguana on the beach, pointillism, {number}",
            "num_outputs": 1,
            "seed": number,
        }


def main(origin: str, model: str, journal: str, *numbers: str) -> None:
    """Run the model on `count` inputs from `first` on; a rate of 0 is none."""
    first, count, concurrency, rate = map(int, numbers)
    with replicate_rs.Replicate("r8_local", base_url=origin) as client:
        client.run(model, {"prompt": "warm"})
        print("ready", flush=True)
        sys.stdin.readline()
        begun_at, cpu = time.perf_counter(), time.process_time()
        results = client.map(
            model,
            create_inputs(first, count),
            journal=journal,
            concurrency=concurrency,
            rate=rate or None,
        )
        succeeded = sum(each.succeeded for each in results)
        if succeeded != count:
            raise SystemExit(f"{succeeded:,} of {count:,} inputs succeeded")
        print(time.process_time() - cpu, time.perf_counter() - begun_at, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
