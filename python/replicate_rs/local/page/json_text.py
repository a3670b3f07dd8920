"""JSON with line breaks, for people."""

from __future__ import annotations

import json
from contextlib import suppress

from ..api.access import inside

# Spaces for each level.
INDENT = 2


def indented(text: str, limit: int) -> str:
    """Return JSON with line breaks, or the text itself if it is not JSON, or if that would add more
    than `limit` characters.
    """
    with suppress(ValueError, RecursionError):
        value: object = json.loads(text)
        if _is_within(value, limit):
            return json.dumps(value, indent=INDENT, ensure_ascii=False)
    return text


def _is_within(value: object, limit: int) -> bool:
    added, depth, level = 0, 0, [value]
    while level and added <= limit:
        level = [inner for each in level for inner in inside(each)]
        depth += 1
        # A line for each item, and one for the bracket after an item's own items.
        added += 2 * len(level) * (1 + INDENT * depth)
    return added <= limit
