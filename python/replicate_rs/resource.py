"""Names that 1.0.7 has under this path; they live in `_base`."""

from ._base.operation import Namespace as Namespace
from ._base.record import Record as Resource

__all__ = ["Namespace", "Resource"]
