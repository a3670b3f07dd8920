"""Collections of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(kw_only=True, slots=True)
class Collection:
    """A collection of models."""

    slug: str
    name: str
    description: str
    model_names: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the API's object as it is in lists, without the models."""
        return {"name": self.name, "slug": self.slug, "description": self.description}

    def matches(self, words: list[str]) -> bool:
        """Return whether the collection has all of these lower-case words."""
        text = f"{self.slug} {self.name} {self.description}".lower()
        return all(word in text for word in words)
