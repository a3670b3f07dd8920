"""What a journal knows of inputs that are taken again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .async_store import AsyncStore
    from .rows import Row

# Rows that were read ahead and belong to no input so far, at most.
MAX_AHEAD = 10_000


class KnownRows:
    """Finds the rows of inputs.

    Inputs mostly come in the order in which they were claimed: rows that are read in that order
    cost a fraction of rows that are looked up by their keys, which are all over the database.
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._is_in_order = True
        # Rows that were read ahead, by key, and the number of the last one.
        self._ahead: dict[str, Row] = {}
        self._last = 0

    async def find(self, keys: list[str]) -> dict[str, Row]:
        """Return the rows of those of some inputs that the journal knows, by their keys."""
        found: dict[str, Row] = {}
        if self._is_in_order:
            await self._read_ahead(len(keys))
            ahead = self._ahead
            found = {key: ahead.pop(key) for key in keys if key in ahead}
            self._is_in_order = len(found) > len(keys) / 2 and len(ahead) < MAX_AHEAD
            if not self._is_in_order:
                ahead.clear()
        missing = [key for key in keys if key not in found] if found else keys
        if missing:
            found |= await self._store.call(self._store.store.rows, missing)
        return found

    async def _read_ahead(self, count: int) -> None:
        while len(self._ahead) < count:
            rows = await self._store.call(self._store.store.read_page, self._last)
            if not rows:
                return
            self._ahead |= {row.key: row for row in rows}
            self._last = rows[-1].number
