"""Names of `typing` that the package needs while it runs, without the 7 ms that importing `typing`
costs.

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


_dict: Any = dict
_type: Any = type


def _evaluating(name: str) -> Callable[..., Any]:
    read: Callable[..., Any] = getattr(_dict, name)

    def call(self: Annotations, *args: Any) -> Any:
        self.evaluate()
        return read(self, *args)

    return call


class Annotations(dict["str", "Any"]):
    """The annotations of a function or a class, evaluated when they are first read.

    What they name is imported for type checkers only, as long as nobody asks for it: `types` and
    what it imports cost more than the rest of the package.
    """

    __slots__ = ("written",)

    # The annotations as they are written, the name of their module, and the class that they are in.
    written: tuple[dict[str, Any], str, type | None]

    def evaluate(self) -> None:
        """Fill the dictionary."""
        texts, module, owner = self.written
        if _dict.__len__(self) < len(texts):
            from .package import evaluate

            self.update({name: evaluate(text, module, owner) for name, text in texts.items()})

    if not TYPE_CHECKING:
        __contains__ = _evaluating("__contains__")
        __eq__ = _evaluating("__eq__")
        __getitem__ = _evaluating("__getitem__")
        __iter__ = _evaluating("__iter__")
        __len__ = _evaluating("__len__")
        __or__ = _evaluating("__or__")
        __repr__ = _evaluating("__repr__")
        copy = _evaluating("copy")
        get = _evaluating("get")
        items = _evaluating("items")
        keys = _evaluating("keys")
        values = _evaluating("values")


def texts(value: Any) -> dict[str, Any]:
    """Return annotations as they are written."""
    annotations = value.__annotations__
    return annotations.written[0] if type(annotations) is Annotations else annotations


def defer_annotations(namespace: dict[str, Any]) -> None:
    """Have the annotations of a module's public functions and classes evaluated when they are first
    read.

    Each module that programs import from calls this at its end.
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
    annotations = members.get("__annotations__")
    if type(annotations) is Annotations:
        # It has a second name.
        return
    if annotations:
        deferred = Annotations()
        deferred.written = annotations, module, owner
        owner.__annotations__ = deferred
    for name, member in members.items():
        if name[0] != "_" or name in _SHOWN:
            kind = _type(member)
            if kind is _Function:
                defer(member, module, owner)
            elif kind is classmethod or kind is staticmethod:
                defer(member.__func__, module, owner)


# Methods whose names begin with an underscore, but whose signatures are shown.
_SHOWN = frozenset(("__call__", "__init__", "__new__"))


def defer(function: Any, module: str, owner: type | None = None) -> None:
    """Have a function's annotations evaluated when they are first read."""
    annotations = function.__annotations__
    if type(annotations) is dict:
        deferred = Annotations()
        deferred.written = annotations, module, owner
        function.__annotations__ = deferred


_Function = type(texts)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array; tuples count, since JSON writes them as one."""
    return isinstance(value, (list, tuple))
