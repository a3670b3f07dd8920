"""Open the journal that a path or an address names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sqlite import SqliteStore

if TYPE_CHECKING:
    from .store import Store


def open_store(journal: str | None, target: str) -> Store:
    """Open a journal to write to; create it if there is none.

    Args:
        journal: The path of a file, or the address of a PostgreSQL database; None for a temporary
            journal.
        target: What runs the inputs.

    Raises:
        JournalError: It cannot be opened, or is the journal of another target.

    """
    return SqliteStore.open(journal, target)


def open_store_to_read(journal: str) -> Store:
    """Open a journal that exists, to read it.

    Raises:
        JournalError: It does not exist, or cannot be read.

    """
    return SqliteStore.open_to_read(journal)
