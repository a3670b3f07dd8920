"""Names that replicate 1.0.7 has in this module."""

from .version import make_schema_backwards_compatible as make_schema_backwards_compatible
from .version import version_has_no_array_type as version_has_no_array_type
