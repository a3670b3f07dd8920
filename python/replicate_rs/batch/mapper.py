"""`Mapper`: `map` as a callable that engines such as Ray Data, Dask and Spark run on batches."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, cast

from .._base.checks import wrong_type
from .._batch.map import Results
from .._batch.plan import make_plan
from .._batch.saving import check_place
from .._batch.tables import Selection, add_shared
from .._files.encode import to_plain
from .._predictions.params import split_options
from ..exceptions import MissingTokenError
from .batches import Batch, extend_schema, find_schema, is_row, open_batch
from .columns import Columns, failed, to_outcome
from .worker import check_options, check_token, get_client

if TYPE_CHECKING:
    from os import PathLike
    from types import FrameType
    from typing import Unpack

    from .._client.types import ClientOptions
    from .._predictions.types import PredictionOptions
    from ..deployment import Deployment
    from ..identifier import Ref
    from .columns import Outcome

# Choices of `map` that are none here: results go back to their rows.
CHOICES: dict[str, Any] = {
    "ordered": False,
    "on_error": "return",
    "on_exit": None,
    "retry_if": None,
    "progress": None,
    "use_file_output": False,
}
# Functions of Dask that call a function with rows that it made up, to see what comes back.
DASK_PROBES = ("emulate", "_emulate")


class Mapper:
    """A callable that runs a model on each row of a batch, and adds columns with the results.

        mapper = Mapper("acme/painter", {"prompt": "caption"}, journal="runs.db")
        ray_dataset.map_batches(mapper, batch_size=1024)
        dask_frame.map_partitions(mapper, meta=mapper.schema(dask_frame))
        spark_frame.mapInPandas(mapper, mapper.schema(spark_frame))

    It is sent to the workers of an engine without the token, which each worker finds for itself,
    and opens nothing before its first batch. It may be called on several threads.
    """

    def __init__(
        self,
        ref: Ref | Deployment[Any] | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        deployment: Ref | tuple[str, str] | None = None,
        key: str | None = None,
        files: Collection[str] = (),
        types: Mapping[str, type] | None = None,
        input: Mapping[str, Any] | None = None,
        journal: str | PathLike[str] | None = None,
        save_to: str | PathLike[str] | None = None,
        concurrency: int | None = None,
        rate: float | None = None,
        retries: int = 0,
        retry_failed: bool = False,
        max_failures: float | None = None,
        token: Callable[[], str | None] | str | PathLike[str] | None = None,
        client: ClientOptions | None = None,
        names: Mapping[str, str] | None = None,
        **options: Unpack[PredictionOptions],
    ) -> None:
        """Check the arguments. Nothing is opened, and nothing is sent.

        Args:
            ref: ``owner/name``, ``owner/name:version``, a version's id, a model, version or
                deployment object.
            columns: The column of each input; by default, every column is the input of its name.
                What a row has no value for is not sent.
            deployment: A deployment in place of `ref`.
            key: The column with each row's key, as in `read_inputs`.
            files: The inputs whose text is the path of a file on the worker; paths that are
                relative belong to the present working directory.
            types: The type of inputs, as in `read_inputs`.
            input: Inputs that all rows share; a row's own value comes first.
            journal: The journal that all workers share: a path on one machine, the URL of a
                database on several. Without one, what an engine runs twice is paid for twice.
            save_to: A folder that all workers have, or a URL of `fsspec`, for the files of outputs.
            concurrency: Runs in flight in a call, at most; 64 by default.
            rate: Predictions created a minute by a call, at most.
            retries: How often an input is run again whose prediction failed.
            retry_failed: Whether inputs that failed in former calls, by the journal, are run again.
            max_failures: A number of inputs of a batch, or a share of those that ended (below 1.0),
                with more failures than which the call raises.
            token: A function that returns the token on a worker, or the path of a file that has it
                there. Default: the worker's `REPLICATE_API_TOKEN`.
            client: Options of the workers' clients, such as ``base_url``.
            names: Other names for the added columns.
            options: The options of `predictions.create`, for each prediction; but `timeout` is for
                a batch.

        Raises:
            TypeError: An argument has the wrong type, or is a secret.
            ValueError: An argument has a value that is not allowed.
            ImportError: `fsspec`, which `save_to` needs, is not installed.

        """
        self._token = check_token(token)
        self._client_options = check_options(client)
        self._selection = Selection.of(key, columns, files, types)
        if self._selection.mapping:
            self._selection.check_names([*self._selection.mapping])
        self._input = _check_input(input)
        _check_headers(options.get("extra_headers"))
        split_options(options)
        if save_to is not None:
            check_place(os.fspath(save_to))
        self._plan = make_plan(
            ref,
            deployment,
            concurrency,
            rate,
            _to_absolute(journal),
            _to_absolute(save_to),
            max_failures,
            options.get("timeout"),
            {name: value for name, value in options.items() if name != "timeout"},
            {**CHOICES, "retries": retries, "retry_failed": retry_failed},
        )
        self._columns = Columns(names, has_files=save_to is not None)
        # Where relative paths of files begin; a worker may have another working directory.
        self._folder = Path.cwd()
        self._id = token_hex(8)

    def __call__(self, batch: Any, /) -> Any:
        """Run the model on the rows of a batch, and return it with the results.

        Args:
            batch: A dict of arrays or of lists, a list of dicts, a ``pandas.DataFrame``, a
                ``pyarrow.Table`` or ``RecordBatch``, or an iterator of these.

        Returns:
            The same kind, with the same rows in the same order, and with the columns ``output``,
            ``files`` (with `save_to`), ``status``, ``error``, ``prediction`` and ``predict_time``.
            For an iterator of batches, an iterator, which runs each when it is asked for; for one
            of rows, a list.

        Raises:
            TypeError: A batch is of another kind.
            ValueError: A column is missing, or one of these names is taken.
            JournalError: The journal cannot be used.
            TooManyFailures: `max_failures` was exceeded.
            FileError: Files cannot be saved.
            PredictionTimeout: `timeout` passed first.
            MissingTokenError: The worker has no token.
            APIStatusError: The model does not exist, or the token is wrong.

        """
        if isinstance(batch, Iterator):
            return self._follow(batch)  # pyright: ignore[reportUnknownArgumentType] - the engine's
        return self._run(batch)

    def schema(self, table: Any, /) -> Any:
        """Return the schema of what batches of a table become.

        Args:
            table: A DataFrame of Spark, Dask or pandas, an Arrow table, or its schema.

        Returns:
            For Spark a ``StructType``, for Dask and pandas an empty DataFrame (Dask's ``meta``),
            for Arrow a schema.

        Raises:
            TypeError: It has no schema.
            ValueError: A column is missing, or the name of an added column is taken.

        """
        header, schema = find_schema(table)
        self._selection.read(header)
        self._columns.refuse_clash(header.name, header.columns)
        return extend_schema(schema, self._columns.kinds())

    def __repr__(self) -> str:
        columns = "".join(f", {name}={each}" for name, each in self._selection.mapping.items())
        return f"<Mapper of {self._plan.target.name}{columns}>"

    def _follow(self, batches: Iterator[Any]) -> Any:
        end = object()
        first = next(batches, end)
        if first is end:
            return iter(())
        batches = chain((first,), batches)
        # Dask gives the rows of a bag's partition one by one.
        return self._run([*batches]) if is_row(first) else map(self, batches)

    def _run(self, value: Any) -> Any:
        _refuse_probes()
        batch = open_batch(value)
        source = batch.source
        self._columns.refuse_clash(source.name, source.columns)
        if not batch.length and not batch.has_columns:
            return batch.add([])
        source.folder = self._folder
        rows = _Rows(batch, self._selection, self._input)
        if batch.length:
            try:
                rows.collect(Results(self._get_client(), rows.read(), self._plan))
            except MissingTokenError as error:
                error.add_note(
                    "The token is looked for on the worker: set REPLICATE_API_TOKEN in its"
                    " environment, or pass token=, a function or the path of a file, to Mapper."
                )
                raise
        return batch.add(self._columns.fill(rows.outcomes(), as_text=batch.has_columns))

    def _get_client(self) -> Any:
        return get_client(self._token, self._client_options, self._id)


class _Rows:
    """The rows of a batch on their way to `map` and back."""

    def __init__(self, batch: Batch, selection: Selection, shared: dict[str, Any]) -> None:
        self._inputs = selection.read(batch.source)
        self._shared = shared
        self._outcomes: list[Outcome | None] = [None] * batch.length
        # The place of each input among the rows; rows that cannot be read are no inputs.
        self._places: list[int] = []

    def read(self) -> Generator[Any]:
        """Yield the inputs; what is wrong with the other rows becomes their outcome."""
        for place, item in enumerate(self._inputs.iterate(keep_errors=True)):
            if isinstance(item, Exception):
                self._outcomes[place] = failed(item)
                continue
            # Before the result can come.
            self._places.append(place)
            yield add_shared(item, self._shared)

    def collect(self, results: Results[Any]) -> None:
        """Take the outcomes of the inputs from their results."""
        for result in results:
            self._outcomes[self._places[result.index]] = to_outcome(result)

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes in the order of the rows."""
        return [outcome for outcome in self._outcomes if outcome is not None]


def _check_input(input: object) -> dict[str, Any]:
    if input is None:
        return {}
    if not isinstance(input, Mapping):
        raise wrong_type("input", "a dict of inputs that all rows share", input)
    given = dict(cast("Mapping[str, Any]", input))
    _, slots = to_plain(given)
    for slot in slots:
        if hasattr(slot.file, "read"):
            raise TypeError(f"{slot.path} is an open file, which no worker has: pass its path")
    return given


def _check_headers(headers: object) -> None:
    pairs: Any = headers.items() if isinstance(headers, Mapping) else headers or ()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - checked by the rules of options
    if any(str(name).lower() == "authorization" for name, *_ in pairs):
        raise TypeError("extra_headers must not have a token, which would be sent to every worker")


def _to_absolute(path: str | os.PathLike[str] | None) -> Any:
    """Return a path that is the same in every working directory; URLs as they are."""
    if not isinstance(path, (str, os.PathLike)):
        return path
    text = os.fspath(path)
    if not text or "://" in text:
        return text
    return os.path.abspath(Path(text).expanduser() if text.startswith("~") else text)  # noqa: PTH100 - of `..`, too


def _refuse_probes() -> None:
    """Refuse to run rows that Dask made up, since they would be paid for."""
    if "dask" not in sys.modules:
        return
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in DASK_PROBES and str(frame.f_globals.get("__name__")).startswith(
            "dask."
        ):
            raise ValueError(
                "Dask calls the mapper with rows that it made up, to see which columns come back:"
                " pass meta=mapper.schema(frame)"
            )
        frame = frame.f_back
