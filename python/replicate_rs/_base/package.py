"""Access to the package's root from modules that it imports.

The root is in `sys.modules` when any of its modules is.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

_ROOT = __name__.partition(".")[0]


def default_client() -> Any:
    """Return the package's default client."""
    return sys.modules[_ROOT].default_client


def evaluate(annotation: object, module: str, owner: type | None) -> Any:
    """Return the type that an annotation in one of the package's modules stands for."""
    return sys.modules[_ROOT].types.evaluate(annotation, module, owner)
