"""Journals in PostgreSQL: databases that are away, addresses that are wrong, a shared pace."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

import replicate_rs as replicate
from replicate_rs._batch import postgres as module
from replicate_rs._batch.address import Address
from replicate_rs._batch.connect import open_store
from replicate_rs._batch.keys import read_input, target_digest
from replicate_rs._batch.rows import CREATED, HELD, NEW, UNCERTAIN, Outcome
from replicate_rs.batch import Journal
from replicate_rs.batch.running import _without_password
from replicate_rs.exceptions import JournalError
from support.conditions import until
from support.journals import change, execute, rows
from support.mapping import collect, outputs, texts
from support.postgres import PASSWORD, PostgresServer

pytest_plugins = ["support.journal_fixtures", "support.map_fixtures"]
pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def client(map_client):
    return map_client


@pytest.fixture
def journal(postgres_journal):
    return postgres_journal


@pytest.fixture
def own(postgres):
    """A server that a test may stop."""
    with PostgresServer() as server:
        yield server


def items(count, first=0):
    digest = target_digest("acme/x")
    return [read_input({"text": f"t{n}"}, n, digest) for n in range(first, first + count)]


# A database that is away.


@pytest.mark.timeout(120)
def test_a_database_that_is_away_for_a_while(both, client, server, own, caplog):
    """What ended meanwhile is written when it is back; nothing is created twice."""
    caplog.set_level(logging.WARNING, "replicate_rs")
    inputs = [*texts(30), *texts(3, "wait")]
    results = client.map("acme/some", inputs, journal=own.address, concurrency=8)
    found = []
    thread = threading.Thread(target=lambda: found.extend(collect(both, results)))
    thread.start()
    until(lambda: server.calls.total() >= 10)
    own.stop()
    until(lambda: "database failed, and is tried again" in caplog.text)
    server.gate.set()
    time.sleep(0.5)
    own.start()
    thread.join(60)
    assert len(found) == 33
    assert all(each.succeeded for each in found)
    assert server.creates == 33
    assert max(server.calls.values()) == 1
    assert PASSWORD not in caplog.text
    with Journal(own.address) as opened:
        assert opened.summary().succeeded == 33


@pytest.mark.timeout(120)
def test_a_database_that_is_away_for_good(both, client, server, own, monkeypatch):
    """The error names what runs. With the database back, the next call collects it."""
    monkeypatch.setattr("replicate_rs._batch.store.MAX_OUTAGE", 0.5)
    monkeypatch.setattr("replicate_rs._batch.runner.MAX_END", 0.1)
    inputs = [*texts(3), *texts(2, "wait")]
    results = client.map("acme/some", inputs, journal=own.address, wait=False)
    found, errors = [], []

    def run():
        try:
            found.extend(collect(both, results))
        except JournalError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: server.calls.total() == 5)
    own_journal = f"{own.address}?schema=replicate_map"
    until(lambda: [each for (each,) in rows(own_journal, "status")].count("running") == 2)
    own.stop()
    server.gate.set()
    thread.join(60)
    (error,) = errors
    assert "cannot be reached" in str(error)
    running = [each.id for each in server.predictions() if each.input["text"].startswith("wait")]
    notes = "\n".join(error.__notes__)
    assert any(id in notes for id in running), (notes, running)
    assert PASSWORD not in str(error) + notes
    own.start()
    again = collect(both, client.map("acme/some", inputs, journal=own.address))
    assert outputs(again) == ["T0", "T1", "T2", "WAIT0", "WAIT1"]
    assert server.creates == 5


def test_a_transaction_whose_answer_was_lost_is_repeated(journal, monkeypatch):
    import psycopg

    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.01)
    store = open_store(journal, "acme/x")
    (first,) = store.claim(items(1))
    assert first.kind == NEW
    # Its own claim, of which it does not know: nobody else may have it, and it is looked for.
    (second,) = store.claim(items(1))
    assert second.kind == UNCERTAIN
    store.write([("p", second.number)])
    (third,) = store.claim(items(1))
    assert third.kind == CREATED
    lost = []

    def commit():
        store._run("UPDATE inputs SET files = '[]'")
        if not lost:
            lost.append(store._connection)
            store._connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    store._perform(commit)
    assert store._connection not in lost
    assert rows(journal, "prediction, files") == [("p", "[]")]
    store.close()


def test_workers_that_could_not_renew_while_the_database_was_away_are_not_dead(journal):
    first, second = open_store(journal, "acme/x"), open_store(journal, "acme/x")
    first.claim(items(1))
    change(journal, "UPDATE workers SET seen_at = seen_at - 100, host = 'elsewhere'")
    second._disconnect()
    # It has lost its connection, too: the first worker has had no time to renew its lease.
    (claim,) = second.claim(items(1))
    assert claim.kind == HELD
    second._distrusts_until = 0.0
    (claim,) = second.claim(items(1))
    assert claim.kind == UNCERTAIN
    first.close()
    second.close()


def test_a_large_journal_is_not_read_as_a_whole(journal):
    """Neither to find the inputs of predictions, nor to write what became of inputs."""
    open_store(journal, "acme/x").close()
    execute(
        journal,
        "INSERT INTO inputs (key, position, input, status, sent_at)"
        " SELECT 'key' || n, n, '{}', 'succeeded', 1 FROM generate_series(1, 20000) AS n",
    )
    execute(journal, "ANALYZE inputs")

    def count_scans():
        # Connections tell what they did when they end.
        others = (
            "SELECT FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        until(lambda: not execute(journal, others))
        statement = "SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'inputs'::regclass"
        return execute(journal, statement)

    before = count_scans()
    store = open_store(journal, "acme/x")
    claims = store.claim(items(40, 10_000), expect_new=True)
    store.write([(f"p{claim.number}", claim.number) for claim in claims])
    assert store.find_known(["p1", f"p{claims[0].number}"], 100.0) == {f"p{claims[0].number}"}
    store.write(
        outcomes=[Outcome(each.number, "succeeded", 2.0, 0.1, '"x"', None, None) for each in claims]
    )
    store.release([])
    store.close()
    assert count_scans() == before


def test_a_claim_does_not_wait_for_another_one(journal):
    import psycopg

    first, second = open_store(journal, "acme/x"), open_store(journal, "acme/x")
    first.claim(items(2))
    schema = journal.partition("schema=")[2]
    with psycopg.connect(journal.partition("?")[0]) as other:
        other.execute(f"SELECT * FROM {schema}.inputs FOR UPDATE".encode())
        assert [each.kind for each in second.claim(items(3))] == [HELD, HELD, NEW]
    first.close()
    second.close()


# Several processes.

PROGRAM = """
import sys
import replicate_rs as replicate

base_url, token, journal, count = sys.argv[1:]
client = replicate.Replicate(token, base_url=base_url)
inputs = ({"text": f"t{n}"} for n in range(int(count)))
for number, result in enumerate(client.map("acme/shout", inputs, journal=journal, concurrency=8)):
    assert result.succeeded, result.error
print(number + 1)
"""


def start(server, journal, count):
    command = [sys.executable, "-c", PROGRAM, server.base_url, server.token, journal, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(120)
def test_processes_share_the_inputs(server, journal):
    """One of three is killed: the others run what it held."""
    programs = [start(server, journal, 300) for _ in range(3)]
    until(lambda: server.calls.total() > 60, 30)
    programs[0].send_signal(signal.SIGKILL)
    programs[0].communicate()
    for program in programs[1:]:
        out, errors = program.communicate(timeout=90)
        assert (out, program.returncode) == ("300\n", 0), errors
    counts = Counter(each.input["text"] for each in server.predictions())
    assert counts == {f"t{n}": 1 for n in range(300)}


SECONDS = float(os.environ.get("STRESS_SECONDS", "5"))


@pytest.mark.timeout(150)
def test_workers_share_the_rate(both, server, journal):
    """All together stay under it: at most 2 % more in any time."""
    rate = 1200.0
    workers = 3
    total = int(SECONDS * rate / 60) // workers * workers
    times = []

    @server.model("acme/timed")
    def timed(text: str) -> str:
        with server.lock:
            times.append(time.monotonic())
        return text

    def run(number):
        inputs = [{"text": f"{number}-{n}"} for n in range(total // workers)]
        with replicate.Replicate("r8_secret", base_url=server.base_url) as own:
            results = list(own.map("acme/timed", inputs, journal=journal, rate=rate))
        assert len(results) == total // workers

    threads = [threading.Thread(target=run, args=(n,)) for n in range(workers)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    assert len(times) == total
    times.sort()
    allowed = (times[-1] - times[0]) * rate / 60
    assert total - 1 <= allowed * 1.02 + 1


def test_a_refusal_slows_all_workers_down(journal):
    first, second = open_store(journal, "acme/x"), open_store(journal, "acme/x")
    assert second.share_rate(lambda rate, now: rate.rate) is None
    first.share_rate(lambda rate, now: rate.refuse(now, 30))
    limit, paused = second.share_rate(lambda rate, now: (rate.rate, rate.paused_until - now))
    assert limit is not None
    assert 25 < paused <= 30
    first.close()
    second.close()


@pytest.mark.parametrize(
    "text",
    [
        "consuming input failed: SSL connection has been closed unexpectedly",
        "consuming input failed: SSL error: unexpected eof while reading",
        "connection failed: FATAL: the database system is starting up",
        "failed to resolve host 'db': Temporary failure in name resolution",
    ],
)
def test_a_connection_that_is_lost_is_made_again(journal, monkeypatch, text):
    import psycopg

    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.01)
    store = open_store(journal, "acme/x")
    errors = [psycopg.OperationalError(text)]

    def use():
        if errors:
            raise errors.pop()
        return store.worker

    assert store._perform(use) == store.worker
    store.close()


# Addresses and tables that cannot be used.


@pytest.mark.parametrize(
    ("change_address", "message"),
    [
        (lambda each: each.replace(PASSWORD, "wrong"), "authentication failed"),
        (lambda each: each.replace("/postgres?", "/nowhere?"), "does not exist"),
        (lambda each: each + "&unknown=1", "invalid"),
    ],
    ids=["password", "database", "parameter"],
)
def test_a_wrong_address(both, client, server, journal, change_address, message):
    address = change_address(journal)
    with pytest.raises(JournalError, match=message) as caught:
        collect(both, client.map("acme/shout", texts(1), journal=address))
    assert PASSWORD not in str(caught.value)
    assert "wrong" not in str(caught.value)
    assert server.requests == []


def test_a_database_that_cannot_be_reached(both, client, server, monkeypatch):
    monkeypatch.setattr(module, "MAX_OPENING", 0.3)
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.05)
    with pytest.raises(JournalError, match=r"cannot be reached for 0 s: .*refused"):
        collect(both, client.map("acme/shout", texts(1), journal="postgresql://a:b@127.0.0.1:9/x"))
    with pytest.raises(JournalError):
        Journal("postgresql://a:b@127.0.0.1:9/x")
    assert server.requests == []


def test_a_schema_that_is_none(client, server):
    with pytest.raises(ValueError, match="schema= in the address"):
        client.map("acme/shout", texts(1), journal="postgresql://h/db?schema=a;b")


def test_without_psycopg(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r'pip install "replicate-rs\[postgres\]"') as caught:
        client.map("acme/shout", texts(1), journal="postgresql://u:pg_secret@h/db")
    assert "pg_secret" not in str(caught.value)


def test_other_tables_of_its_name(both, client, server, journal):
    schema = journal.partition("schema=")[2]
    change(journal, f"CREATE SCHEMA {schema}")
    change(journal, "CREATE TABLE inputs (mine TEXT)")
    with pytest.raises(JournalError, match="the schema .* has other tables"):
        collect(both, client.map("acme/shout", texts(1), journal=journal))
    assert server.requests == []


def test_a_newer_version(both, client, server, journal):
    collect(both, client.map("acme/shout", texts(1), journal=journal))
    change(journal, "UPDATE target SET version = 99")
    with pytest.raises(JournalError, match=r"newer version .* \(schema 99"):
        collect(both, client.map("acme/shout", texts(2), journal=journal))
    with pytest.raises(JournalError, match="schema 99"):
        Journal(journal)
    assert server.creates == 1


def test_no_journal(journal):
    with pytest.raises(JournalError, match="there is no journal"):
        Journal(journal)


def test_a_character_that_text_cannot_have(both, server, client, journal):
    @server.model("acme/nul")
    def nul(text: str) -> str:
        raise RuntimeError(f"a\0b {text}")

    (result,) = collect(both, client.map("acme/nul", [{"text": "x\0y"}], journal=journal))
    assert "\0" in result.error
    ((error, text),) = rows(journal, "error, input")
    assert "a\ufffdb" in error
    assert "x\\u0000y" in text


@pytest.mark.parametrize(
    ("text", "shown", "connection", "schema"),
    [
        ("postgresql://h/db", "postgresql://h/db", "postgresql://h/db", "replicate_map"),
        (
            "postgres://u:p%40w@h:5/db?sslmode=require&schema=flux&password=x&sslpassword=y",
            "postgres://u@h:5/db?sslmode=require&schema=flux",
            "postgres://u:p%40w@h:5/db?sslmode=require&password=x&sslpassword=y",
            "flux",
        ),
    ],
)
def test_an_address(text, shown, connection, schema):
    address = Address(text)
    assert (address.shown, address.connection, address.schema) == (shown, connection, schema)


def test_no_secret_in_what_is_said(server, journal):
    """Not in the note of an error either, which says how to go on."""
    with replicate.Replicate("r8_secret", base_url=server.base_url) as own:
        results = own.map("acme/shout", texts(2), journal=journal)
        iterator = iter(results)
        next(iterator)
        with pytest.raises(ZeroDivisionError) as caught:
            iterator.throw(ZeroDivisionError())
    (note,) = caught.value.__notes__
    assert "Call it again with journal='postgresql://postgres@" in note
    assert PASSWORD not in note + repr(results)


@pytest.mark.parametrize("option", ["", "--journal="])
def test_a_command_line_is_shown_without_the_password(option):
    word = f"{option}postgresql://u:{PASSWORD}@h/db?schema=x"
    assert _without_password(word) == f"{option}postgresql://u@h/db?schema=x"
    assert _without_password("--input=a=b") == "--input=a=b"
