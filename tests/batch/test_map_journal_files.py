"""Journals in files: those that are unusable, and what is in them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3

import pytest

from conftest import script
from replicate_rs._batch import lookup, sqlite
from replicate_rs.batch import Journal
from replicate_rs.exceptions import JournalError
from support.conditions import until
from support.journals import change, rows
from support.mapping import collect, no_threads, outputs, texts

pytest_plugins = ["support.journal_fixtures", "support.map_fixtures"]


@pytest.fixture
def client(map_client):
    return map_client


@pytest.fixture
def file(file_journal):
    return file_journal


def test_a_journal_of_a_newer_version(both, client, server, file):
    collect(both, client.map("acme/shout", texts(1), journal=file))
    change(file, "PRAGMA user_version = 99")
    before = file.read_bytes()
    with pytest.raises(JournalError, match=r"newer version .* \(schema 99"):
        collect(both, client.map("acme/shout", texts(2), journal=file))
    with pytest.raises(JournalError, match="schema 99"):
        Journal(file)
    assert file.read_bytes() == before
    assert server.creates == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"prompt\na cat\n" * 100, "no SQLite database"), (None, "another SQLite database")],
    ids=["text", "database"],
)
def test_another_file(both, client, server, file, content, message):
    if content is None:
        change(file, "CREATE TABLE mine (a)")
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    with pytest.raises(JournalError, match=message):
        collect(both, client.map("acme/shout", texts(1), journal=file))
    with pytest.raises(JournalError, match=message):
        Journal(file)
    assert file.read_bytes() == before
    assert server.requests == []
    assert [each.name for each in file.parent.iterdir()] == ["runs.db"]


def test_a_damaged_journal(both, client, server, file):
    collect(both, client.map("acme/shout", texts(200), journal=file))
    before = server.creates
    content = bytearray(file.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    file.write_bytes(content)
    with pytest.raises(JournalError, match="damaged|not a database|malformed"):
        collect(both, client.map("acme/shout", texts(201), journal=file))
    assert server.creates == before
    no_threads()


def test_a_locked_journal(both, client, server, file, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.1)
    collect(both, client.map("acme/shout", texts(1), journal=file))
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked by another program"):
            collect(both, client.map("acme/shout", texts(2), journal=file))
    assert server.creates == 1
    assert len(collect(both, client.map("acme/shout", texts(2), journal=file))) == 2


def test_a_journal_that_is_locked_in_the_middle(both, client, server, file, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.1)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)

    def lock():
        other.execute("BEGIN IMMEDIATE")
        server.gate.set()

    results = client.map("acme/some", [*texts(3), {"text": "wait"}], journal=file)
    found = []
    if both.is_async:
        call = lambda: both(lambda: _lock_after(results, found, lock))  # noqa: E731 - two ways
    else:
        call = lambda: asyncio.run(_lock_after(results, found, lock))  # noqa: E731 - two ways
    with pytest.raises(JournalError, match="locked by another program"):
        call()
    other.close()
    # What could not be written is looked for, and not paid for again.
    inputs = [*texts(3), {"text": "wait"}]
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE inputs SET worker = 900 WHERE worker IS NOT NULL")
    results = collect(both, client.map("acme/some", inputs, journal=file))
    assert outputs(results) == ["T0", "T1", "T2", "WAIT"]
    assert server.creates == 4


async def _lock_after(results, found, lock):
    async for each in results:
        found.append(each)
        if len(found) == 3:
            lock()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_that_may_not_be_written(both, client, server, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(JournalError, match="writable"):
        collect(both, client.map("acme/shout", texts(1), journal=folder / "runs.db"))
    assert server.requests == []


def test_a_folder_that_does_not_exist(both, client, server, tmp_path):
    with pytest.raises(JournalError, match="its folder must exist"):
        collect(both, client.map("acme/shout", texts(1), journal=tmp_path / "no" / "runs.db"))
    with pytest.raises(JournalError):
        collect(both, client.map("acme/shout", texts(1), journal=tmp_path))
    assert server.requests == []


def test_a_full_disk(both, client, server, file, monkeypatch):
    """Nothing is sent for an input that could not be written; the rest goes on later."""
    set_up = sqlite.SqliteStore._set_up

    def limit(self, target):
        set_up(self, target)
        self._connection.execute("PRAGMA max_page_count = 40")

    monkeypatch.setattr(sqlite.SqliteStore, "_set_up", limit)
    inputs = [{"text": f"{n} " + "x" * 2000} for n in range(120)]
    with pytest.raises(JournalError, match="the disk is full"):
        collect(both, client.map("acme/shout", inputs, journal=file, concurrency=4))
    no_threads()
    until(lambda: server.running == 0)
    made = server.creates
    assert 0 < made < 120
    monkeypatch.undo()
    monkeypatch.setattr(lookup, "MAX_DELAY", 0.2)
    monkeypatch.setattr(lookup, "INTERVAL", 0.05)
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE inputs SET worker = 900 WHERE worker IS NOT NULL")
    results = collect(both, client.map("acme/shout", inputs, journal=file))
    assert len(results) == 120
    assert all(each.succeeded for each in results)
    assert server.creates == 120


def test_no_journal(tmp_path):
    with pytest.raises(JournalError, match="there is no journal"):
        Journal(tmp_path / "no.db")
    assert [*tmp_path.iterdir()] == []


def test_the_schema(both, client, server, file):
    collect(both, client.map("acme/shout", texts(1), journal=file))
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("PRAGMA application_id").fetchone() == (0x72727331,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert [name for _, name, *_ in connection.execute("PRAGMA table_info(inputs)")] == [
            "number",
            "key",
            "position",
            "digest",
            "input",
            "status",
            "worker",
            "attempts",
            "sent_at",
            "sent_input",
            "prediction",
            "earlier_predictions",
            "ended_at",
            "predict_time",
            "output",
            "error",
            "files",
        ]
    ((number, status, attempts),) = rows(file, "number, status, attempts")
    assert (number, status, attempts) == (1, "succeeded", 1)


def test_no_token_in_the_journal(both, client, server, file):
    collect(both, client.map("acme/picky", [*texts(3), {"text": "bad"}], journal=file))
    for each in file.parent.iterdir():
        assert b"r8_secret" not in each.read_bytes()


def test_an_inputs_limit_on_file_size_is_an_error(server, file):
    """RLIMIT_FSIZE: the journal cannot grow."""
    code = f"""
    import resource, signal
    import replicate_rs as replicate
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    inputs = [{{"text": f"{{n}} " + "x" * 2000}} for n in range(200)]
    try:
        for _ in replicate.map("acme/shout", inputs, journal={str(file)!r}, concurrency=4):
            pass
    except replicate.JournalError as error:
        print(type(error).__name__)
    """
    env = {
        **os.environ,
        "REPLICATE_BASE_URL": server.base_url,
        "REPLICATE_API_TOKEN": "r8_secret",
    }
    done = script(code, env=env)
    assert (done.stdout, done.stderr) == ("JournalError\n", "")
