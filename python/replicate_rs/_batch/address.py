"""Addresses of journals in databases, and how messages show them."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

PROTOCOLS = ("postgres", "postgresql")
# The schema in which the tables are, unless the address names another one by `schema=`.
DEFAULT_SCHEMA = "replicate_map"


def is_address(journal: str) -> bool:
    """Return whether a journal is a database's address, and not a path."""
    return journal.partition("://")[0] in PROTOCOLS and "://" in journal


class Address:
    """The address of a journal: ``postgresql://user@host/database?schema=name``.

    Raises:
        ValueError: The schema's name is none.

    """

    def __init__(self, text: str) -> None:
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True)
        self.schema: str = dict(query).get("schema", DEFAULT_SCHEMA)
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", self.schema):
            raise ValueError(
                "schema= in the address of a journal must be a name of lower-case letters, digits"
                f" and underscores, not {self.schema!r}"
            )
        others = urlencode([(name, value) for name, value in query if name != "schema"])
        self.connection: str = urlunsplit(parts._replace(query=others))
        """The address of the database, as `libpq` takes it."""
        shown = [(name, value) for name, value in query if "password" not in name]
        user, at, place = parts.netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}{at}{place}"
        self.shown: str = urlunsplit(parts._replace(netloc=netloc, query=urlencode(shown)))
        """The address without a password."""
