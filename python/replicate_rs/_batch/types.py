"""Types of the arguments of `map`."""

from __future__ import annotations

from typing import Literal, TypeAlias

OnError: TypeAlias = Literal["return", "raise"]
"""Whether what fails is a result, or ends the run with its error."""
OnExit: TypeAlias = Literal["leave", "cancel"]
"""What happens to predictions that run when the caller leaves."""
