"""Models as functions.

claude = replicate.use("anthropic/claude-4-sonnet")
print(claude(prompt="a haiku about iguanas"))
"""

from __future__ import annotations

from ._base.checks import flag, function
from ._base.typing import TYPE_CHECKING, ParamSpec, TypeVar, defer_annotations, overload
from ._use.function import AsyncFunction as AsyncFunction
from ._use.function import BaseFunction as BaseFunction
from ._use.function import Function as Function
from ._use.output_iterator import AsyncOutputIterator as AsyncOutputIterator  # noqa: TC001 - public
from ._use.output_iterator import BaseOutputIterator as BaseOutputIterator
from ._use.output_iterator import OutputIterator as OutputIterator  # noqa: TC001 - public
from ._use.run import AsyncRun as AsyncRun
from ._use.run import BaseRun as BaseRun
from ._use.run import Run as Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal

    from ._base.types import Named as Named
    from ._base.types import Usable as Usable

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@overload
def use(
    ref: Usable,
    *,
    hint: None = None,
    streaming: Literal[False] = False,
    use_async: Literal[False] = False,
) -> Function[..., Any]: ...
@overload
def use(
    ref: Usable,
    *,
    hint: Callable[P, R],
    streaming: Literal[False] = False,
    use_async: Literal[False] = False,
) -> Function[P, R]: ...
@overload
def use(
    ref: Usable, *, hint: None = None, streaming: Literal[True], use_async: Literal[False] = False
) -> Function[..., OutputIterator[Any]]: ...
@overload
def use(
    ref: Usable,
    *,
    hint: Callable[P, Iterable[T]],
    streaming: Literal[True],
    use_async: Literal[False] = False,
) -> Function[P, OutputIterator[T]]: ...
@overload
def use(
    ref: Usable, *, hint: None = None, streaming: Literal[False] = False, use_async: Literal[True]
) -> AsyncFunction[..., Any]: ...
@overload
def use(
    ref: Usable,
    *,
    hint: Callable[P, R],
    streaming: Literal[False] = False,
    use_async: Literal[True],
) -> AsyncFunction[P, R]: ...
@overload
def use(
    ref: Usable, *, hint: None = None, streaming: Literal[True], use_async: Literal[True]
) -> AsyncFunction[..., AsyncOutputIterator[Any]]: ...
@overload
def use(
    ref: Usable,
    *,
    hint: Callable[P, Iterable[T]],
    streaming: Literal[True],
    use_async: Literal[True],
) -> AsyncFunction[P, AsyncOutputIterator[T]]: ...
def use(
    ref: Usable,
    *,
    hint: Callable[..., Any] | None = None,
    streaming: bool = False,
    use_async: bool = False,
) -> Function[..., Any] | AsyncFunction[..., Any]:
    """Return a model as a function that runs it, through the default client.

    Nothing is sent before the function is called.

    Args:
        ref: ``owner/name``, ``owner/name:version``, a version's id, or a model or version object.
        hint: A function with the parameters and the result of the model, for type checkers and
            editors.
        streaming: Have the function return an iterator over the output's parts as they come.
        use_async: Have the function be awaited.

    Returns:
        A `Function`, or an `AsyncFunction`.

    Raises:
        ValueError: `ref` is not a reference.

    """
    if hint is not None:
        function("hint", hint)
    if flag("use_async", use_async):
        return AsyncFunction(ref, streaming=streaming)
    return Function(ref, streaming=streaming)


defer_annotations(globals())
