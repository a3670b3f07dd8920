"""The version of the official client that this package stands in for."""

__version__ = "1.0.7"
