"""What the resources of one client share: its config, its mode, an adapter of its calls."""

from __future__ import annotations

from .transport import Blocking, Suspending

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from typing import Any, Protocol

    from .._core import Core
    from .transport import Transport
    from .types import FileEncodingStrategy

    class Config(Protocol):
        """The options of a client, and the core that has them."""

        options: dict[str, Any]
        mode: type[Sync | Async]
        is_default: bool
        """Whether this is the config of the package's default client."""

        @property
        def core(self) -> Core:
            """The core that sends requests now."""
            ...

        @property
        def poll_interval(self) -> float | None:
            """Seconds between polls; None if the core chooses."""
            ...

        @property
        def is_plain_default(self) -> bool:
            """Whether this is the default client's config, without assigned options."""
            ...

        def reduce_session(self, mode: type[Sync | Async]) -> tuple[Any, ...]:
            """Return the result of a session's `__reduce__`."""
            ...

    class Adapter(Protocol):
        """Adapts calls to the official client's behavior; `drop_in` has one."""

        max_first_wait: int
        """The longest time that a run's create request may block, in seconds."""

        def call(
            self,
            function: Callable[..., Any],
            perform: Callable[..., Any],
            check: Any,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
        ) -> Any:
            """Call a blocking operation.

            Args:
                function: Its function.
                perform: What is called in the place of the function.
                check: Checks its arguments.
                args: Its positional arguments.
                kwargs: Its keywords.

            """
            ...

        async def acall(
            self,
            function: Callable[..., Any],
            perform: Callable[..., Any],
            check: Any,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
        ) -> Any:
            """Call an awaited operation; the arguments are those of `call`."""
            ...

        def prepare(
            self, function: Callable[..., Any], resource: Any, kwargs: dict[str, Any]
        ) -> Any:
            """Convert keywords to this library's, and return the resource to call."""
            ...

        def adapt(self, error: Exception, resource: Any) -> None:
            """Turn an error into the one that callers expect."""
            ...

        def batches(
            self, batches: AsyncGenerator[Sequence[Any], None], resource: Any
        ) -> AsyncGenerator[Sequence[Any], None]:
            """Return the batches of a stream."""
            ...

        def stream(self, function: Callable[..., Any], stream: Any) -> Any:
            """Return a blocking or an awaited stream in the form that callers expect."""
            ...


class Sync:
    """The mode of a `Replicate` and of its records: operations return their result."""

    transport: type[Transport] = Blocking


class Async:
    """The mode of an `AsyncReplicate` and of its records: operations are awaited.

    Annotations use it as a parameter: ``Prediction[Async]``.
    """

    transport: type[Transport] = Suspending


class Session:
    """The config and the mode that the resources of one client share."""

    __slots__ = ("adapter", "config", "mode")

    def __init__(self, config: Config, mode: type[Sync | Async]) -> None:
        self.config: Config = config
        # Only clients under the official client's name have one.
        self.adapter: Adapter | None = None
        # The client's mode, and the mode of the records, pages and files that it returns, from its
        # `async_` methods too.
        self.mode: type[Sync | Async] = mode

    @property
    def core(self) -> Core:
        """The core that sends requests now."""
        return self.config.core

    @property
    def poll_interval(self) -> float | None:
        """Seconds between polls; None if the core chooses."""
        return self.config.poll_interval

    @property
    def file_encoding_strategy(self) -> FileEncodingStrategy:
        """How files among a model's inputs are sent."""
        strategy: FileEncodingStrategy = self.config.options["file_encoding_strategy"]
        return strategy

    @property
    def use_file_output(self) -> bool:
        """Whether files in an output become `FileOutput` objects."""
        return bool(self.config.options["use_file_output"])

    def in_mode(self, mode: type[Sync | Async]) -> Session:
        """Return this session, or one like it whose records are in another mode."""
        if mode is self.mode:
            return self
        twin = Session(self.config, mode)
        twin.adapter = self.adapter
        return twin

    def __copy__(self) -> Session:
        return self

    def __deepcopy__(self, _known: object) -> Session:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return self.config.reduce_session(self.mode)
