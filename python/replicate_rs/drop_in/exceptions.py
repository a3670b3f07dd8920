"""The module `replicate.exceptions`: `ReplicateError` is `RequestError`, as in 1.0.7."""

from __future__ import annotations

from ..exceptions import *  # noqa: F403 - all of them
from ..exceptions import RequestError as ReplicateError

__all__ = ["ReplicateError"]
