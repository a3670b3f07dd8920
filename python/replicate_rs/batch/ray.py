"""Run a model on the rows of a dataset of Ray Data."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._base.checks import integer, wrong_type
from .mapper import Mapper

if TYPE_CHECKING:
    from typing import Unpack

    from ..deployment import Deployment
    from ..identifier import Ref
    from .arguments import MapperArguments

BATCH_SIZE = 1024
# Cores that a worker is counted with: it waits for the API most of the time.
NUM_CPUS = 0.25


def map_dataset(
    dataset: Any,
    ref: Ref | Deployment[Any] | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    workers: int | tuple[int, int] = 1,
    batch_size: int = BATCH_SIZE,
    num_cpus: float = NUM_CPUS,
    **arguments: Unpack[MapperArguments],
) -> Any:
    """Return a dataset with the columns that a `Mapper` adds; as with all of Ray Data, it is lazy.

        rows = map_dataset(ds, "acme/painter", {"prompt": "caption"}, journal="runs.db", workers=4)
        rows.write_parquet("painted")

    Each time the dataset is consumed, its rows are run; with a journal, only those that were not.

    Args:
        dataset: A dataset of Ray Data.
        ref: ``owner/name``, ``owner/name:version``, a version's id, a model, version or deployment
            object.
        columns: The column of each input; by default, every column is the input of its name.
        workers: The number of actors, or the least and the most of them. Each has its own
            `concurrency` and `rate`. What an actor had in hand that was lost is run by another.
        batch_size: Rows in a batch, at most. Many more than `concurrency` keep all runs in flight.
        num_cpus: Cores for which Ray counts an actor.
        arguments: The other arguments of `Mapper`.

    Raises:
        ImportError: Ray is not installed.
        TypeError: An argument has the wrong type, or is a secret.
        ValueError: An argument has a value that is not allowed.

    """
    try:
        data = import_module("ray.data")
    except ImportError as error:
        raise ImportError('map_dataset needs Ray Data: pip install "replicate-rs[ray]"') from error
    if not isinstance(dataset, data.Dataset):
        raise wrong_type("dataset", "a ray.data.Dataset", dataset)
    integer("batch_size", batch_size, 1)
    mapper = Mapper(ref, columns, **arguments)
    least, most = workers if isinstance(workers, tuple) else (workers, workers)
    integer("workers", least, 1)
    integer("workers", most, least)
    # A batch that waits for its actor could run on another; but a pool that is resized grows only
    # by batches that wait.
    waiting = {"max_tasks_in_flight_per_actor": 1} if least == most else {}
    # Ray starts an actor that was lost again, and gives its batches to others, without a limit.
    return dataset.map_batches(
        Worker,
        fn_constructor_kwargs={"mapper": mapper},
        compute=data.ActorPoolStrategy(min_size=least, max_size=most, **waiting),
        batch_size=batch_size,
        # Its schema is the same for all batches.
        batch_format="pyarrow",
        num_cpus=num_cpus,
    )


class Worker:
    """An actor: Ray wants a class, and creates it where the actor runs."""

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper

    def __call__(self, batch: Any) -> Any:
        """Return a batch with the columns added."""
        return self._mapper(batch)
