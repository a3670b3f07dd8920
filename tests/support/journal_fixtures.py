"""Fixtures of journals: of both kinds, and the server of one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.postgres import PostgresServer, find_programs

POSTGRES = pytest.param("PostgreSQL", marks=pytest.mark.xdist_group("postgres"))
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if find_programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_journal(postgres: PostgresServer) -> str:
    """The address of a journal of its own."""
    return f"{postgres.address}?schema=journal_{next(_numbers)}"


@pytest.fixture
def file_journal(tmp_path: Path) -> Path:
    """The path of a journal."""
    return tmp_path / "runs.db"


@pytest.fixture(params=["SQLite", POSTGRES])
def any_journal(request: pytest.FixtureRequest) -> Any:
    """A journal of each kind."""
    name = "file_journal" if request.param == "SQLite" else "postgres_journal"
    return request.getfixturevalue(name)


@pytest.fixture(params=["SQLite", POSTGRES])
def any_journals(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Ten journals of each kind."""
    if request.param == "SQLite":
        return [str(tmp_path / f"{number}.db") for number in range(10)]
    address = request.getfixturevalue("postgres").address
    return [f"{address}?schema=journal_{next(_numbers)}" for _ in range(10)]
