"""What public callables of the package take, options of `**options: Unpack[…]` included."""

from __future__ import annotations

import inspect
import re
from typing import Any

from replicate_rs import types
from replicate_rs._base.typing import texts


def parameters(function: Any) -> dict[str, str] | None:
    """The names of what a callable takes by name and their annotations as they are written, or None
    if it takes any name.
    """
    found: dict[str, str] = {}
    written = _written(function)
    for parameter in inspect.signature(function).parameters.values():
        annotation = written.get(parameter.name, parameter.annotation)
        if parameter.kind is parameter.VAR_KEYWORD:
            options = re.fullmatch(r"Unpack\[(\w+)\]", str(annotation))
            if options is None:
                return None
            found |= {
                name: hint.__forward_arg__
                for name, hint in getattr(types, options[1]).__annotations__.items()
            }
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            found[parameter.name] = annotation
    return found


def _written(function: Any) -> dict[str, str]:
    functions = (
        [function.__new__, function.__init__]
        if inspect.isclass(function)
        else [inspect.unwrap(function)]
    )
    return {
        name: text
        for each in functions
        if hasattr(each, "__annotations__")
        for name, text in texts(each).items()
    }
