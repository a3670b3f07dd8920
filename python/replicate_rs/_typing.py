"""Names of `typing` that the package needs while it runs, without the 7 ms that importing `typing` costs.

Type checkers see the real ones.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
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


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array; tuples count, since JSON writes them as one."""
    return isinstance(value, (list, tuple))
