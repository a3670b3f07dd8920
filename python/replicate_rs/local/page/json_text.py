"""JSON with line breaks and indentation."""

from __future__ import annotations

import json
from contextlib import suppress

from ..api.json_bodies import children

# Spaces for each level.
INDENT = 2


def indent_json(text: str, max_added: int) -> str:
    """Return JSON with line breaks.

    Text that is not JSON, or would become longer by more than `max_added` characters, is returned
    as it is.
    """
    with suppress(ValueError, RecursionError):
        value: object = json.loads(text)
        if _is_within(value, max_added):
            return json.dumps(value, indent=INDENT, ensure_ascii=False)
    return text


def _is_within(value: object, max_added: int) -> bool:
    added, depth, level = 0, 0, [value]
    while level and added <= max_added:
        level = [child for each in level for child in children(each)]
        depth += 1
        # A line for each item, and one for the closing bracket of an item that has items.
        added += 2 * len(level) * (1 + INDENT * depth)
    return added <= max_added
