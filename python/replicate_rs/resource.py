"""Names that replicate 1.0.7 has in this module."""

from ._base.operation import Namespace as Namespace
from ._base.record import Record as Resource

__all__ = ["Namespace", "Resource"]
