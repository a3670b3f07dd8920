"""Names that 1.0.7 has under this path; they live in `version`."""

from .version import make_schema_backwards_compatible as make_schema_backwards_compatible
from .version import version_has_no_array_type as version_has_no_array_type
