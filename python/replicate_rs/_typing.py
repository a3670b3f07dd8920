"""Names of `typing` that the package needs while it runs, without the 7 ms that importing `typing` costs.

Type checkers see the real ones.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeGuard
    from typing import Generic as Generic
    from typing import ParamSpec as ParamSpec
    from typing import cast as cast
    from typing import overload as overload

    # It has defaults for type variables (PEP 696), and every type checker brings its stub along.
    from typing_extensions import TypeVar as TypeVar
else:

    class Generic:
        """Stands in for `typing.Generic`: a base class that takes parameters and forgets them."""

        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls

    def ParamSpec(*_, **__):
        return ...

    TypeVar = ParamSpec

    def cast(_, value):
        """Stand in for `typing.cast`."""
        return value

    def overload(function):
        """Stand in for `typing.overload`."""
        return function


class Annotations(dict["str", "Any"]):
    """The annotations of a function or a class, evaluated when they are first read.

    What they name is imported for type checkers only, as long as nobody asks for it: `types` and what it imports cost more than
    the rest of the package.
    """

    __slots__ = ("module", "owner", "texts")

    def __init__(self, texts: dict[str, Any], module: str, owner: type | None = None) -> None:
        self.texts = texts
        self.module = module
        self.owner = owner

    def evaluate(self) -> None:
        """Fill the dictionary."""
        if dict.__len__(self) < len(self.texts):
            from .types import evaluated

            self.update({name: evaluated(text, self.module, self.owner) for name, text in self.texts.items()})


def _evaluating(name: str) -> Callable[..., Any]:
    read: Callable[..., Any] = getattr(dict, name)

    def call(self: Annotations, *args: Any) -> Any:
        self.evaluate()
        return read(self, *args)

    return call


for _name in (
    "__contains__",
    "__eq__",
    "__getitem__",
    "__iter__",
    "__len__",
    "__or__",
    "__repr__",
    "copy",
    "get",
    "items",
    "keys",
    "values",
):
    setattr(Annotations, _name, _evaluating(_name))


def texts(value: Any) -> dict[str, Any]:
    """Return annotations as they are written."""
    annotations = value.__annotations__
    return annotations.texts if isinstance(annotations, Annotations) else annotations


def defer_annotations(namespace: dict[str, Any]) -> None:
    """Have the annotations of a module's public functions and classes evaluated when they are first read.

    Each module calls this at its end.
    """
    module = namespace["__name__"]
    for name, value in namespace.items():
        if name[0] != "_" and getattr(value, "__module__", None) == module:
            _defer(value, module)


def _defer(value: Any, module: str, owner: type | None = None) -> None:
    if type(value) is _Function:
        if type(value.__annotations__) is dict:
            value.__annotations__ = Annotations(value.__annotations__, module, owner)
    elif isinstance(value, type):
        members = vars(value)
        if value.__module__ != module or type(members.get("__annotations__")) is Annotations:
            return
        if annotations := members.get("__annotations__"):
            value.__annotations__ = Annotations(annotations, module)
        for name, member in [*members.items()]:
            if name[0] != "_" or name[:2] == "__":
                _defer(member, module, value)
    elif type(value) is property:
        _defer(value.fget, module, owner)
        _defer(value.fset, module, owner)
    else:
        # A method of a class, or an operation.
        inner = getattr(value, "__func__", None) or getattr(value, "function", None)
        if type(inner) is _Function:
            _defer(inner, inner.__module__, owner)


_Function = type(texts)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array; tuples count, since JSON writes them as one."""
    return isinstance(value, (list, tuple))
