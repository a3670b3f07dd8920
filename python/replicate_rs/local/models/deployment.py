"""Deployments of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..clock import format_time
from .model import Model, Version


@dataclass(kw_only=True, slots=True)
class Deployment:
    """A deployment of a model's version, with its current release."""

    owner: str
    name: str
    release_number: int
    model: Model
    version: Version
    hardware: str
    min_instances: int
    max_instances: int
    released_at: float
    # When a prediction was last created.
    last_used_at: float = float("-inf")

    def to_json(self, account: dict[str, Any]) -> dict[str, Any]:
        """Return the API's object."""
        return {
            "owner": self.owner,
            "name": self.name,
            "current_release": {
                "number": self.release_number,
                "model": self.model.full_name,
                "version": self.version.id,
                "created_at": format_time(self.released_at),
                "created_by": account,
                "configuration": {
                    "hardware": self.hardware,
                    "min_instances": self.min_instances,
                    "max_instances": self.max_instances,
                },
            },
        }
