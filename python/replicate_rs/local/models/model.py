"""Models and their versions, as the API has them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..clock import format_time
from .signature import Signature

# Clients read this: for Cog before 0.3.9, "iterator" means a list.
COG_VERSION = "0.16.0"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """A function that is registered as a model or as a training, and its options."""

    name: str
    function: Callable[..., Any]
    signature: Signature
    visibility: str = "public"
    hardware: str = "cpu"
    readme: str | None = None
    examples: tuple[dict[str, Any], ...] = ()
    cold_start: float = 0.0

    @property
    def version_id(self) -> str:
        """The id of the version: equal for the same function with the same schema."""
        path = f"{self.function.__module__}.{self.function.__qualname__}"
        return hashlib.sha256(
            f"{self.name}\0{path}\0{json.dumps(self.signature.openapi)}".encode()
        ).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A version of a model."""

    id: str
    created_at: float
    definition: Definition
    # Inputs that a training has set.
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    # The id of the version that was trained to create this one.
    base_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the API's object."""
        return {
            "id": self.id,
            "created_at": format_time(self.created_at),
            "cog_version": COG_VERSION,
            "openapi_schema": self.definition.signature.openapi,
        }


@dataclass(kw_only=True, slots=True)
class Model:
    """A model, registered as a function or created through the API."""

    owner: str
    name: str
    created_at: float
    description: str | None = None
    visibility: str = "public"
    hardware: str = "cpu"
    links: dict[str, str | None] = field(default_factory=dict[str, str | None])
    readme: str | None = None
    run_count: int = 0
    # Functions that return the API's objects, whose URLs depend on the client that asks.
    examples: list[Callable[[], dict[str, Any]]] = field(
        default_factory=list[Callable[[], dict[str, Any]]]
    )
    versions: list[Version] = field(default_factory=list[Version])

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def to_json(self, origin: str) -> dict[str, Any]:
        """Return the API's object."""
        return {
            "url": f"{origin}/#{self.full_name}",
            "owner": self.owner,
            "name": self.name,
            "description": self.description,
            "visibility": self.visibility,
            "run_count": self.run_count,
            "github_url": None,
            "paper_url": None,
            "license_url": None,
            "cover_image_url": None,
            **self.links,
            "is_official": False,
            "default_example": self.examples[0]() if self.examples else None,
            "latest_version": self.versions[-1].to_json() if self.versions else None,
            "created_at": format_time(self.created_at),
        }


def split_name(full_name: str) -> tuple[str, str]:
    """Split `owner/name`. Raises `ValueError` for an invalid name."""
    owner, _, name = full_name.partition("/")
    if not (_NAME.match(owner) and _NAME.match(name)):
        raise ValueError(
            "a model's name is 'owner/name', of letters, digits, '.', '_' and '-'; not"
            f" {full_name!r}"
        )
    return owner, name
