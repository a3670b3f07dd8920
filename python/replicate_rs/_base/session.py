"""What the parts of one client share: its config, its mode, and an adapter of its calls."""

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
        """What a client is made with at the moment, and the core that is made of it."""

        options: dict[str, Any]
        mode: type[Sync | Async]
        is_default: bool
        """Whether this is the config of the package's default client."""

        @property
        def core(self) -> Core:
            """The core that requests go through now."""
            ...

        @property
        def poll_interval(self) -> float | None:
            """Seconds between polls; None leaves it to the core."""
            ...

        @property
        def is_plain_default(self) -> bool:
            """Whether this is the default client's config, with no option assigned."""
            ...

        def reduce_session(self, mode: type[Sync | Async]) -> tuple[Any, ...]:
            """Return what `__reduce__` of a session returns."""
            ...

    class Adapter(Protocol):
        """What calls of a client under the official client's name differ in; `drop_in` has one."""

        first_hold: int
        """Seconds: the longest hold of a run's create."""

        def call(
            self,
            function: Callable[..., Any],
            check: Any,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
        ) -> Any:
            """Call a blocking operation; `check` checks its arguments."""
            ...

        async def acall(
            self,
            function: Callable[..., Any],
            check: Any,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
        ) -> Any:
            """Call an awaited operation."""
            ...

        def prepare(
            self, function: Callable[..., Any], resource: Any, kwargs: dict[str, Any]
        ) -> Any:
            """Put keywords in this library's form, and return the resource to call."""
            ...

        def adapt(self, error: Exception, resource: Any) -> None:
            """Turn an error into what callers expect."""
            ...

        def batches(
            self, batches: AsyncGenerator[Sequence[Any], None], resource: Any
        ) -> AsyncGenerator[Sequence[Any], None]:
            """Return the parts of a streamed answer."""
            ...

        def stream(self, function: Callable[..., Any], stream: Any) -> Any:
            """Return a blocking or an awaited stream in the form that callers expect."""
            ...


class Sync:
    """The mode of a `Replicate` and of its records: operations return their result."""

    transport: type[Transport] = Blocking


class Async:
    """The mode of an `AsyncReplicate` and of its records: operations are awaited.

    In annotations: `Prediction[Async]`.
    """

    transport: type[Transport] = Suspending


class Session:
    """What the parts of one client share, in a mode."""

    __slots__ = ("adapter", "config", "mode")

    def __init__(self, config: Config, mode: type[Sync | Async]) -> None:
        # What the client is made with at the moment.
        self.config: Config = config
        # Of a client under another library's name.
        self.adapter: Adapter | None = None
        # The client's, and so that of the records, pages and files that it gives, whichever of its
        # methods gave them.
        self.mode: type[Sync | Async] = mode

    @property
    def core(self) -> Core:
        """What requests go through now."""
        return self.config.core

    @property
    def poll_interval(self) -> float | None:
        """Seconds between polls; None leaves it to the core."""
        return self.config.poll_interval

    @property
    def file_encoding_strategy(self) -> FileEncodingStrategy:
        """How files among a model's inputs are sent."""
        strategy: FileEncodingStrategy = self.config.options["file_encoding_strategy"]
        return strategy

    @property
    def use_file_output(self) -> bool:
        """Whether files of an output are given as `FileOutput`."""
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
