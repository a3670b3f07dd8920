"""Names that 1.0.7 has under this path; they live in `_record` and `_operation`."""

from ._operation import Namespace as Namespace
from ._record import Record as Resource

__all__ = ["Namespace", "Resource"]
