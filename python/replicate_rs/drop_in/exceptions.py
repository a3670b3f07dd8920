"""The errors of `replicate_rs.exceptions`, with 1.0.7's meaning of `ReplicateError`."""

from __future__ import annotations

from ..exceptions import *  # noqa: F403 - all of them, those that are added too
from ..exceptions import RequestError as ReplicateError

__all__ = ["ReplicateError"]
