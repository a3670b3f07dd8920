"""Rows that are written to a journal as `map` writes them, without a server and without `map`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from map_worker import create_inputs
from replicate_rs._batch.keys import Input, read_input, target_digest
from replicate_rs._batch.postgres import PostgresStore
from replicate_rs._batch.rows import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.database import Database, Usage

# Inputs that are claimed at once, as `map` does.
CLAIMED = 64


class Kind(NamedTuple):
    """A journal's inputs."""

    rows: int
    output_size: int = 0
    """Characters of each output; 0: there is none."""
    has_keys: bool = False
    """Whether keys are the caller's, in order, in place of digests of the inputs."""

    def create(self, first: int, count: int) -> Iterator[Any]:
        """Create inputs as `map` takes them."""
        inputs = create_inputs(first, count)
        if not self.has_keys:
            return inputs
        return ((f"{number:012}", each) for number, each in enumerate(inputs, first))


class Written(NamedTuple):
    """What it took to write rows."""

    seconds: float
    cpu: float
    """Seconds, of the process that wrote."""
    database: Usage


def write_rows(
    database: Database, journal: str, model: str, kind: Kind, first: int, count: int
) -> Written:
    """Write inputs, then their predictions, then their ends: a transaction each, for 64 inputs.

    Args:
        database: Where the journal is.
        journal: Its address.
        model: What it is the journal of.
        kind: Its inputs.
        first: The number of the first input.
        count: How many inputs.

    """
    output = json.dumps("x" * kind.output_size) if kind.output_size else None
    target = target_digest(model)
    store = PostgresStore.open(journal, model)
    used, begun_at, cpu = database.usage(), time.perf_counter(), time.process_time()
    for at in range(first, first + count, CLAIMED):
        inputs = kind.create(at, min(CLAIMED, first + count - at))
        items = [read_input(each, index, target) for index, each in enumerate(inputs, at)]
        claims = store.claim([item for item in items if isinstance(item, Input)], expect_new=True)
        numbers = [claim.number for claim in claims]
        store.write([(f"{number:026}", number) for number in numbers])
        now = time.time()
        store.write(
            outcomes=[
                Outcome(number, "succeeded", now, 0.012683, output, None, None)
                for number in numbers
            ]
        )
    seconds, cpu = time.perf_counter() - begun_at, time.process_time() - cpu
    store.release([])
    store.close()
    return Written(seconds, cpu, database.usage().since(used))
