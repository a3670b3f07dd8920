"""Names that replicate 1.0.7 has in this module."""

from ._base.record import Record as Resource
from ._base.resource import Namespace as Namespace

__all__ = ["Namespace", "Resource"]
