"""The keywords of public callables, with those of `**options` and other spellings."""

from __future__ import annotations

import inspect
import re
from typing import Any

from replicate_rs import types
from replicate_rs._base.arguments import aliases_of
from replicate_rs._base.typing import texts


def parameters(function: Any) -> dict[str, str] | None:
    """Return the keywords of a callable and their annotations; None if it takes any keyword.

    Other spellings of an argument accept None, which means that they are left out.
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
    if inspect.isfunction(function) or inspect.ismethod(function):
        found |= dict.fromkeys(aliases_of(inspect.unwrap(function)), "Any | None")
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
