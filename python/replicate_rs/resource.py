"""Names that 1.0.7 has under this path; they live in `_base`."""

from ._base.record import Record as Resource
from ._base.resource import Namespace as Namespace

__all__ = ["Namespace", "Resource"]
