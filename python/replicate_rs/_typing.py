"""Names of `typing` that the package needs while it runs, without the 7 ms that importing `typing` costs.

Type checkers see the real ones.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Generic as Generic
    from typing import ParamSpec as ParamSpec
    from typing import TypeVar as TypeVar
    from typing import overload as overload
else:

    class Generic:
        """Stands in for `typing.Generic`: a base class that takes parameters and forgets them."""

        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls

    def ParamSpec(*_, **__):
        return ...

    TypeVar = ParamSpec

    def overload(function):
        """Stand in for `typing.overload`."""
        return function
