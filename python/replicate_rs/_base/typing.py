"""Replacements for names of `typing`, whose import takes 7 ms, and deferred annotations.

Type checkers see the names of `typing`.
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

    # Its type variables have defaults (PEP 696). Every type checker includes a stub of the module.
    from typing_extensions import TypeVar as TypeVar
else:

    class Generic:
        """Replaces `typing.Generic`; ignores type parameters."""

        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls

    def ParamSpec(*_, **__):
        return ...

    TypeVar = ParamSpec

    def cast(_, value):
        """Replace `typing.cast`."""
        return value

    def overload(function):
        """Replace `typing.overload`."""
        return function


_dict: Any = dict
_type: Any = type


def _evaluate_first(name: str) -> Callable[..., Any]:
    read: Callable[..., Any] = getattr(_dict, name)

    def method(self: Annotations, *args: Any) -> Any:
        self.evaluate()
        return read(self, *args)

    return method


class Annotations(dict["str", "Any"]):
    """The annotations of a function or a class, evaluated when they are first read.

    Modules import the types in annotations for type checkers only: importing `types` takes longer
    than importing the rest of the package.
    """

    __slots__ = ("source",)

    # The texts of the annotations, the name of their module, and the class that they belong to.
    source: tuple[dict[str, Any], str, type | None]

    def evaluate(self) -> None:
        """Fill the dictionary."""
        texts, module, owner = self.source
        if _dict.__len__(self) < len(texts):
            from .package import evaluate

            self.update({name: evaluate(text, module, owner) for name, text in texts.items()})

    if not TYPE_CHECKING:
        __contains__ = _evaluate_first("__contains__")
        __eq__ = _evaluate_first("__eq__")
        __getitem__ = _evaluate_first("__getitem__")
        __iter__ = _evaluate_first("__iter__")
        __len__ = _evaluate_first("__len__")
        __or__ = _evaluate_first("__or__")
        __repr__ = _evaluate_first("__repr__")
        copy = _evaluate_first("copy")
        get = _evaluate_first("get")
        items = _evaluate_first("items")
        keys = _evaluate_first("keys")
        values = _evaluate_first("values")


def texts(value: Any) -> dict[str, Any]:
    """Return the texts of annotations, without evaluating them."""
    annotations = value.__annotations__
    return annotations.source[0] if type(annotations) is Annotations else annotations


def defer_annotations(namespace: dict[str, Any]) -> None:
    """Defer the evaluation of annotations in a module's public functions and classes.

    Modules that programs import from call this at their end.
    """
    module: str = namespace["__name__"]
    for name, value in namespace.items():
        kind = _type(value)
        if (kind is _Function or kind is type) and name[0] != "_" and value.__module__ == module:
            if kind is type:
                _defer_class(value, module)
            else:
                defer(value, module)


def _defer_class(owner: type, module: str) -> None:
    members = vars(owner)
    if type(members.get("__annotations__")) is Annotations:
        # The class has a second name.
        return
    if members.get("__annotations__"):
        defer(owner, module, owner)
    for name, member in members.items():
        if name[0] != "_" or name in _DOCUMENTED:
            kind = _type(member)
            if kind is _Function:
                defer(member, module, owner)
            elif kind is classmethod or kind is staticmethod:
                defer(member.__func__, module, owner)


# Special methods with signatures that `help()` shows.
_DOCUMENTED = frozenset(("__call__", "__init__", "__new__"))


def defer(value: Any, module: str, owner: type | None = None) -> None:
    """Defer the evaluation of annotations in a function or a class."""
    annotations = value.__annotations__
    if type(annotations) is dict:
        deferred = Annotations()
        deferred.source = annotations, module, owner
        value.__annotations__ = deferred


_Function = type(texts)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Return whether a JSON value is an array; JSON encodes tuples as arrays, too."""
    return isinstance(value, (list, tuple))
