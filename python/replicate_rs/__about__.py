"""The name that 1.0.7 has under this path."""

from replicate_rs import __version__ as __version__
