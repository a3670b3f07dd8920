"""What modules below the package's root ask the loaded root for, without importing it.

The root is in `sys.modules` whenever one of its modules is.
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
    """Return the type that an annotation of one of the package's modules means."""
    return sys.modules[_ROOT].types.evaluated(annotation, module, owner)
