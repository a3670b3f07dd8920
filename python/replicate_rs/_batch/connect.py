"""Open the journal that a path or an address names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .address import Address, is_address
from .postgres import PostgresStore
from .sqlite import SqliteStore

if TYPE_CHECKING:
    from .store import Store


def check_journal(journal: str) -> None:
    """Raise an error for an address that is none, before anything is sent.

    Raises:
        ValueError: The address names no schema.
        ImportError: The address is one of PostgreSQL, and `psycopg` is not installed.

    """
    if not is_address(journal):
        return
    Address(journal)
    try:
        import psycopg as psycopg
    except ImportError as error:
        raise ImportError(
            f"journal={shown_journal(journal)!r} needs the package psycopg:"
            ' pip install "replicate-rs[postgres]"'
        ) from error


def shown_journal(journal: str) -> str:
    """Return a journal as messages name it: an address without its password."""
    return Address(journal).shown if is_address(journal) else journal


def open_store(journal: str | None, target: str) -> Store:
    """Open a journal to write to; create it if there is none.

    Args:
        journal: The path of a file, or the address of a PostgreSQL database; None for a temporary
            journal.
        target: What runs the inputs.

    Raises:
        JournalError: It cannot be opened, or is the journal of another target.

    """
    if journal is not None and is_address(journal):
        return PostgresStore.open(journal, target)
    return SqliteStore.open(journal, target)


def open_store_to_read(journal: str) -> Store:
    """Open a journal that exists, to read it.

    Raises:
        JournalError: It does not exist, or cannot be read.

    """
    if is_address(journal):
        return PostgresStore.open_to_read(journal)
    return SqliteStore.open_to_read(journal)
