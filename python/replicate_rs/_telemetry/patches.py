"""Operations that are no methods of resources: functions of models, files, `map`."""

from __future__ import annotations

import sys
from importlib import import_module
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context as otel

from .._base.operation import observe
from .._core import set_tracer
from .._files import save_all
from .._predictions.events import EventStream
from .._predictions.polling import raise_if_failed
from .._use import function, output_iterator
from .._use import run as use_run
from ..exceptions import ModelError
from .attributes import attributes_of_arguments
from .observing import Observer, address_of, observe_batches, perform_create, perform_within
from .recorder import Operation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from .._batch.job import Job
    from .._batch.map import Results
    from .._batch.runner import Runner
    from ..prediction import Prediction
    from .attributes import Attributes
    from .recorder import Recorder

# What is imported by the first `map`, because it is slow to import.
_MAP = "replicate_rs._batch.map"


class Patches:
    """Replaces functions of this package while its operations are recorded."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._observer = Observer(recorder)
        self._originals: list[tuple[Any, str, Any]] = []

    def apply(self) -> None:
        """Begin to record."""
        observe(self._observer.wrap, self._on_import)
        # As an attribute of the package, `run` is the method of its default client.
        for module in (import_module("replicate_rs.run"), function):
            self._replace(module, "run_to_end", self._noting_prediction)
        self._replace(
            save_all, "_save_all", lambda work: self._observer.wrap_operation("save_all", work)
        )
        self._replace(function.BaseFunction, "_call", self._calling)
        self._replace(
            function.BaseFunction, "_create", lambda work: self._of_function("use.create", work)
        )
        self._replace(
            use_run.BaseRun, "_output", lambda work: self._of_function("use.output", work)
        )
        self._replace(output_iterator.BaseOutputIterator, "_batches", self._iterating)
        self._replace(EventStream, "_pause", self._noting_resumption)
        if _MAP in sys.modules:
            self._on_import(_MAP)
        set_tracer(self._recorder.trace_call)

    def remove(self) -> None:
        """End it."""
        set_tracer(None)
        observe(None)
        for owner, name, original in reversed(self._originals):
            setattr(owner, name, original)
        self._originals.clear()

    def _replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        original = cast("dict[str, Any]", vars(owner))[name]
        self._originals.append((owner, name, original))
        setattr(owner, name, wrap(original))

    def _noting_prediction(self, work: Any) -> Any:
        # The operations that call it do not return the prediction, but its output.

        async def run_to_end(*args: Any, **kwargs: Any) -> Any:
            prediction = await work(*args, **kwargs)
            operation = Operation.current()
            if operation is not None:
                operation.note_result(prediction)
            return prediction

        return run_to_end

    def _noting_resumption(self, work: Any) -> Any:
        # A stream's connection has broken, and another one may follow after a wait.

        async def pause(events: EventStream[Any], empty_connections: int) -> bool:
            operation = Operation.current()
            if operation is None:
                return bool(await work(events, empty_connections))
            time, start, is_next = time_ns(), perf_counter(), True
            try:
                is_next = bool(await work(events, empty_connections))
            finally:
                if is_next:
                    # If the caller leaves meanwhile, it is how long the wait has been.
                    operation.note_resumption(perf_counter() - start, time, events.position.count)
            return is_next

        return pause

    def _operation_of(
        self,
        name: str,
        ref: object,
        client: object,
        *,
        input: object = None,
        is_stream: bool = False,
    ) -> Operation:
        return Operation(
            self._recorder,
            name,
            attributes_of_arguments({"ref": ref}),
            base_url=address_of(client),
            input=input,
            is_stream=is_stream,
        )

    def _calling(self, work: Any) -> Any:
        async def call(self_: Any, args: tuple[object, ...], inputs: Any) -> Any:
            if self_.streaming:
                # The iterator that it returns is the operation.
                return await work(self_, args, inputs)
            operation = self._operation_of(
                "use", self_.ref, self_._client_in(self_._mode), input=inputs
            )
            result = await perform_within(operation, work(self_, args, inputs))
            operation.end()
            return result

        return call

    def _of_function(self, name: str, work: Any) -> Any:
        async def perform(self_: Any, *args: Any) -> Any:
            function = getattr(self_, "_function", self_)
            client = function._client_in(function._mode)
            input = args[1] if args else None
            operation = self._operation_of(name, function.ref, client, input=input)
            if name == "use.create":
                return await perform_create(client, operation, work(self_, *args))
            result = await perform_within(operation, work(self_, *args))
            operation.note_result(getattr(self_, "prediction", result))
            operation.end()
            return result

        return perform

    def _iterating(self, work: Any) -> Any:
        def batches(self_: Any, mode: Any) -> AsyncGenerator[Any, None]:
            parts: AsyncGenerator[Any, None] = work(self_, mode)
            if self_._complete:
                return parts
            function, parent = self_._function, otel.get_current()

            def begin() -> Operation:
                return Operation(
                    self._recorder,
                    "use.stream",
                    attributes_of_arguments({"ref": function.ref}),
                    parent=parent,
                    base_url=address_of(function._client_in(mode)),
                    is_stream=True,
                )

            return observe_batches(begin, parts, self_)

        return batches

    # `map` has a thread with an event loop of its own, which has another context.

    def _on_import(self, _module: str) -> None:
        from .._batch.map import Results
        from .._batch.outcomes import Outcomes
        from .._batch.runner import Runner

        self._replace(Results, "_start", self._starting)
        self._replace(Results, "_run_async", self._running)
        self._replace(Runner, "_run", self._running_input)
        self._replace(Outcomes, "result_of", self._noting_outcome)

    def _starting(self, work: Any) -> Any:
        def start(results: Results[Any], home: Any) -> None:
            if results._thread is None:
                cast("Any", results)._parent = otel.get_current()
            work(results, home)

        return start

    def _running(self, work: Any) -> Any:
        async def run_async(results: Results[Any], home: Any) -> None:
            token = otel.attach(getattr(results, "_parent", None) or otel.get_current())
            try:
                await work(results, home)
            finally:
                otel.detach(token)

        return run_async

    def _running_input(self, work: Any) -> Any:
        async def run_input(runner: Runner, job: Job) -> None:
            operation = Operation(
                self._recorder,
                "map",
                _attributes_of_plan(runner._plan.target),
                base_url=address_of(runner._sender._client),
                input=job.input.value,
            )
            await perform_within(operation, work(runner, job))
            if operation.outcome is not None:
                _note_outcome(operation, *operation.outcome)
            operation.end()

        return run_input

    def _noting_outcome(self, work: Any) -> Any:
        def result_of(
            outcomes: Any, job: Job, prediction: Prediction[Any] | None, error: Exception | None
        ) -> Any:
            operation = Operation.current()
            if operation is not None:
                # An input may be run again, and the last outcome counts.
                operation.outcome = prediction, error
            return work(outcomes, job, prediction, error)

        return result_of


def _attributes_of_plan(target: Any) -> Attributes:
    return attributes_of_arguments(
        {"model": target.model, "version": target.version, "deployment": target.deployment}
    )


def _note_outcome(
    operation: Operation, prediction: Prediction[Any] | None, error: Exception | None
) -> None:
    operation.note_result(prediction)
    if prediction is not None and error is None:
        try:
            raise_if_failed(prediction)
        except ModelError as failure:
            error = failure
    if error is not None:
        operation.fail(error)
