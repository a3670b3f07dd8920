"""The journal of `map`, of either kind: going on, nothing paid for twice, and reading."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import replicate_rs as replicate
from replicate_rs._batch import intake, lookup
from replicate_rs._batch.connect import open_store, open_store_to_read
from replicate_rs._batch.delivery import Delivery
from replicate_rs._batch.keys import read_input, target_digest
from replicate_rs._batch.pace import Pace
from replicate_rs._batch.postgres import PostgresStore
from replicate_rs._batch.rows import UNCERTAIN
from replicate_rs._batch.shared_pace import SharedPace
from replicate_rs._batch.sqlite import SqliteStore
from replicate_rs.batch import Journal
from replicate_rs.exceptions import JournalError, NotFoundError
from support.conditions import until
from support.journals import change, execute, forget, rows, write_done
from support.mapping import by_index, collect, no_threads, outputs, take, texts
from support.postgres import PASSWORD

pytest_plugins = ["support.journal_fixtures", "support.map_fixtures"]


@pytest.fixture
def client(map_client):
    return map_client


@pytest.fixture
def path(any_journal):
    return any_journal


# Going on.


def test_what_is_done_is_given_from_the_journal(both, client, server, path):
    inputs = [*texts(30), {"text": "bad"}]
    first = by_index(collect(both, client.map("acme/picky", inputs, journal=path)))
    assert not any(each.from_journal for each in first)
    before = len(server.requests)
    second = by_index(collect(both, client.map("acme/picky", inputs, journal=path)))
    assert len(server.requests) == before
    assert all(each.from_journal for each in second)
    for name in ("key", "index", "input", "status", "output", "error", "prediction", "attempts"):
        assert [getattr(each, name) for each in first] == [getattr(each, name) for each in second]
    assert second[0].predict_time == pytest.approx(first[0].predict_time)
    assert second[0].available_until == first[0].available_until


def test_more_inputs_are_added_in_any_order(both, client, server, path):
    collect(both, client.map("acme/shout", texts(10), journal=path))
    results = collect(both, client.map("acme/shout", texts(30)[::-1], journal=path, ordered=True))
    assert [each.output for each in results] == [f"T{n}" for n in reversed(range(30))]
    assert [each.from_journal for each in results] == [False] * 20 + [True] * 10
    assert server.creates == 30


def test_many_done_inputs_with_a_small_concurrency(both, client, server, path):
    collect(both, client.map("acme/shout", texts(150), journal=path))
    results = collect(both, client.map("acme/shout", texts(160), journal=path, concurrency=1))
    assert outputs(results) == [f"T{n}" for n in range(160)]
    assert server.creates == 160


def test_new_inputs_are_claimed_together_in_a_journal_that_has_others(
    both, client, server, path, monkeypatch
):
    """They were read ahead, since the journal could have known them."""
    write_done(path, "acme/shout", texts(10))
    claimed = []
    for store in (SqliteStore, PostgresStore):
        claim = store.claim

        def spy(self, inputs, *, _claim=claim, **options):
            claimed.append(len(inputs))
            return _claim(self, inputs, **options)

        monkeypatch.setattr(store, "claim", spy)
    inputs = texts(650)[10:]
    results = collect(both, client.map("acme/shout", iter(inputs), journal=path))
    assert outputs(results) == [f"T{n}" for n in range(10, 650)]
    assert sum(claimed) == 640
    # The rate that the server states makes claims smaller.
    assert len(claimed) <= 640 / 16


@pytest.mark.parametrize(
    "order", ["as before", "reversed", "mixed", "every third", "new in between"]
)
def test_thousands_of_done_inputs_come_in_any_order(both, client, server, path, order):
    done = texts(3000)
    write_done(path, "acme/shout", done)
    inputs = {
        "as before": done,
        "reversed": done[::-1],
        "mixed": random.Random(1).sample(done, 2500),
        "every third": done[::3],
        "new in between": [
            {"text": f"new{n}"} if n % 1000 == 500 else each for n, each in enumerate(done)
        ],
    }[order]
    results = collect(both, client.map("acme/shout", iter(inputs), journal=path, ordered=True))
    assert [each.input for each in results] == inputs
    assert [each.output for each in results] == [each["text"].upper() for each in inputs]
    new = [each["text"].startswith("new") for each in inputs]
    assert [each.from_journal for each in results] == [not each for each in new]
    assert server.creates == sum(new)


def test_predictions_of_inputs_are_found(path):
    """Also earlier ones, of those inputs that were sent since a time."""
    store = open_store(path if "://" in str(path) else str(path), "acme/shout")
    target = target_digest("acme/shout")
    claims = store.claim([read_input(each, n, target) for n, each in enumerate(texts(3))])
    store.write([(f"p{claim.number}", claim.number) for claim in claims])
    store.send_again(claims[0].number)
    store.write([("again", claims[0].number)])
    change(path, "UPDATE inputs SET sent_at = 50 WHERE number = ?", claims[1].number)
    ids = ["again", *(f"p{claim.number}" for claim in claims), "other"]
    first, old, last = ids[1:4]
    assert store.find_known(ids, 0.0) == {"again", first, old, last}
    assert store.find_known(ids, 100.0) == {"again", first, last}
    assert store.find_known([], 0.0) == set()
    store.release([])
    store.close()


def test_results_are_in_order_also_where_the_journal_is_slow(
    both, client, server, path, monkeypatch
):
    write_done(path, "acme/shout", texts(2000))
    for kind in (SqliteStore, PostgresStore):

        def write(self, *args, write=kind.write):
            time.sleep(0.2)
            write(self, *args)

        monkeypatch.setattr(kind, "write", write)
    inputs = [{"text": "new"}, *texts(2000)]
    results = collect(both, client.map("acme/shout", iter(inputs), journal=path, ordered=True))
    assert [each.input for each in results] == inputs


def test_a_late_input_holds_up_no_done_ones(both, client, server, path):
    write_done(path, "acme/shout", texts(10))
    go_on = threading.Event()

    def inputs():
        yield from texts(10)
        go_on.wait(20)
        yield {"text": "late"}

    results = client.map("acme/shout", inputs(), journal=path)
    assert len(take(both, results, 10, go_on.set)) == 10


def test_failed_inputs_are_tried_again_if_asked(both, client, server, path):
    inputs = texts(3)
    (first, *_) = by_index(collect(both, client.map("acme/flaky", inputs, journal=path)))
    assert first.status == "failed"
    again = collect(both, client.map("acme/flaky", inputs, journal=path))
    assert {each.status for each in again} == {"failed"}
    assert server.creates == 3
    again = by_index(
        collect(both, client.map("acme/flaky", inputs, journal=path, retry_failed=True))
    )
    assert [(each.status, each.attempts, each.from_journal) for each in again] == [
        ("succeeded", 2, False)
    ] * 3
    assert server.creates == 6
    ((earlier, prediction), *_) = rows(path, "earlier_predictions, prediction")
    assert json.loads(earlier) == [first.prediction]
    assert prediction == again[0].prediction
    collect(both, client.map("acme/flaky", inputs, journal=path, retry_failed=True))
    assert server.creates == 6


def test_what_runs_is_waited_for(both, client, server, path):
    inputs = [*texts(5), *texts(3, "wait")]
    take(
        both,
        client.map("acme/some", inputs, journal=path, wait=False),
        5,
        lambda: until(lambda: server.calls.total() == 8),
    )
    no_threads()
    assert [each for (each,) in rows(path, "status")].count("running") == 3
    assert execute(path, "SELECT id FROM workers") == []
    server.gate.set()
    results = collect(both, client.map("acme/some", inputs, journal=path))
    assert [each.succeeded for each in results] == [True] * 8
    assert [each.from_journal for each in by_index(results)] == [True] * 5 + [False] * 3
    assert server.creates == 8


KILLED = """
import sys, os
import replicate_rs as replicate
inputs = [{"text": f"t{n}"} for n in range(5)] + [{"text": f"wait{n}"} for n in range(3)]
for result in replicate.map("acme/some", inputs, journal=sys.argv[1], wait=sys.argv[2] == "wait"):
    print(result.index, flush=True)
"""


@pytest.mark.parametrize("wait", ["wait", "poll"])
def test_killed_with_a_journal(both, client, server, path, wait):
    """With "wait", the creates have no answer when the process is killed."""
    env = {
        **os.environ,
        "REPLICATE_BASE_URL": server.base_url,
        "REPLICATE_API_TOKEN": "r8_secret",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), wait], env=env, stdout=subprocess.PIPE
    )
    with process:
        done = [process.stdout.readline() for _ in range(5)]
        assert len(set(done)) == 5
        until(lambda: server.calls.total() == 8)
        if wait == "poll":
            until(lambda: [each for (each,) in rows(path, "status")].count("running") == 3)
        process.kill()
    statuses = [each for (each,) in rows(path, "status")]
    assert statuses.count("sending" if wait == "wait" else "running") == 3
    server.gate.set()
    inputs = [*texts(5), *texts(3, "wait")]
    results = collect(both, client.map("acme/some", inputs, journal=path))
    assert outputs(results) == [*(f"T{n}" for n in range(5)), *(f"WAIT{n}" for n in range(3))]
    assert server.creates == 8
    assert server.calls.total() == 8


def test_an_input_without_an_id_is_found_in_the_list(both, client, server, path):
    inputs = [(f"k{n}", each) for n, each in enumerate(texts(5))]
    first = by_index(collect(both, client.map("acme/shout", inputs, journal=path)))
    forget(path)
    second = by_index(collect(both, client.map("acme/shout", inputs, journal=path)))
    assert [each.prediction for each in second] == [each.prediction for each in first]
    assert outputs(second) == outputs(first)
    assert [each.attempts for each in second] == [1] * 5
    assert server.creates == 5


def test_an_input_that_was_never_accepted_is_sent(both, client, server, path):
    collect(both, client.map("acme/shout", texts(1), journal=path))
    forget(path)
    change(path, "UPDATE inputs SET input = ?, key = ?", '{"text":"new"}', "k")
    results = collect(both, client.map("acme/shout", [("k", {"text": "new"})], journal=path))
    # The key is the caller's now, and its digest another.
    assert "belongs to another input" in results[0].error
    change(path, "DELETE FROM inputs")
    change(
        path,
        "INSERT INTO inputs (number, key, position, digest, input, status, worker, attempts,"
        " sent_at) VALUES (1, ?, 0, NULL, ?, 'sending', 900, 1, ?)",
        replicate_key("acme/shout", {"text": "new"}),
        '{"text":"new"}',
        time.time(),
    )
    (result,) = collect(both, client.map("acme/shout", [{"text": "new"}], journal=path))
    assert (result.output, result.attempts) == ("NEW", 1)
    assert server.creates == 2


def replicate_key(target, value):
    return read_input(value, 0, target_digest(target)).key


def test_two_equal_inputs_without_ids_have_a_prediction_each(both, client, server, path):
    inputs = [("a", {"text": "x"}), ("b", {"text": "x"}), ("c", {"text": "x"})]
    first = collect(both, client.map("acme/shout", inputs, journal=path))
    forget(path, "a")
    forget(path, "b")
    second = collect(both, client.map("acme/shout", inputs, journal=path))
    assert {each.prediction for each in first} == {each.prediction for each in second}
    assert len({each.prediction for each in second}) == 3
    assert server.creates == 3


@pytest.mark.parametrize("hours", [0, 2, 20])
def test_a_prediction_of_an_input_that_was_claimed_long_before_is_known(
    both, client, server, path, hours
):
    """Workers may be busy with other predictions between the claim and the create."""
    inputs = [("a", {"text": "x"}), ("b", {"text": "x"})]
    (first,) = collect(both, client.map("acme/shout", inputs[:1], journal=path))
    change(path, "UPDATE inputs SET sent_at = sent_at - ?", hours * 3600)
    (known,) = rows(path, "sent_at")
    other = both(lambda: client.predictions.create(model="acme/shout", input={"text": "x"}))
    collect(both, client.map("acme/shout", [("c", {"text": "y"})], journal=path))
    change(
        path,
        "INSERT INTO inputs (number, key, position, digest, input, status, worker, attempts,"
        " sent_at) VALUES (9, 'b', 1, ?, ?, 'sending', 900, 1, ?)",
        digest_of(inputs[1]),
        '{"text":"x"}',
        known[0] + hours * 3600,
    )
    results = {
        each.key: each for each in collect(both, client.map("acme/shout", inputs, journal=path))
    }
    assert results["a"].prediction == first.prediction
    assert results["b"].prediction == other.id


def test_an_input_is_not_mistaken_for_one_with_less(both, client, server, path):
    """The API leaves out what a model does not know, so that predictions may look alike."""
    less, more = ("less", {"text": "x"}), ("more", {"text": "x", "seed": 3})
    collect(both, client.map("acme/shout", [less], journal=path))
    collect(both, client.map("acme/shout", [("other", {"text": "y"})], journal=path))
    forget(path, "less")
    change(
        path,
        "INSERT INTO inputs (number, key, position, digest, input, status, worker, attempts,"
        " sent_at) VALUES (9, 'more', 1, ?, ?, 'sending', 900, 1, ?)",
        digest_of(more),
        '{"seed":3,"text":"x"}',
        time.time() - 30,
    )
    results = by_index(collect(both, client.map("acme/shout", [more, less], journal=path)))
    inputs = {each.id: each.input for each in server.predictions()}
    assert [inputs[each.prediction] for each in results] == [
        {"text": "x", "seed": 3},
        {"text": "x"},
    ]
    assert server.creates == 3


def digest_of(item):
    return read_input(item, 0, b"").digest


def test_a_prediction_that_is_gone_is_a_failed_result(both, client, server, path):
    collect(both, client.map("acme/shout", texts(1), journal=path))
    change(path, "UPDATE inputs SET status = 'running', prediction = 'gone', worker = 900")
    (result,) = collect(both, client.map("acme/shout", texts(1), journal=path))
    assert (result.status, result.prediction) == ("failed", "gone")
    assert "NotFoundError" in result.error
    assert server.creates == 1


def test_refused_creates_are_not_looked_up(both, client, server, path):
    """An input whose create was refused for its rate was not accepted."""
    server.fault("POST /models/*/predictions", status=429, retry_after=1, times=None)
    results = client.map("acme/shout", texts(3), journal=path, timeout=0.5)
    with pytest.raises(replicate.PredictionTimeout):
        collect(both, results)
    assert {each for (each,) in rows(path, "status")} <= {"waiting"}
    assert {each for (each,) in rows(path, "attempts")} <= {0}
    server.faults.clear()
    assert outputs(collect(both, client.map("acme/shout", texts(3), journal=path))) == [
        "T0",
        "T1",
        "T2",
    ]
    assert server.creates == 3
    assert server.count("GET", "/predictions") == 1  # that of this test itself


# Several at once.


def test_two_calls_share_a_journal(both, client, server, path):
    found = {}

    def run(name, pause):
        options = {"base_url": server.base_url, "poll_interval": 0.01}
        with replicate.Replicate("r8_secret", **options) as own:
            found[name] = list(own.map("acme/shout", texts(40), journal=path, concurrency=3))

    threads = [threading.Thread(target=run, args=(n, 0)) for n in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert outputs(found[0]) == outputs(found[1]) == [f"T{n}" for n in range(40)]
    assert server.creates == 40


def open_at_once(journals, *openers):
    """Call each opener with each journal, in a thread each, all at once for a journal.

    Return their errors.
    """
    errors = []
    barrier = threading.Barrier(len(openers), timeout=30)

    def open_all(opener):
        for journal in journals:
            barrier.wait()
            try:
                opener(journal).close()
            except JournalError as error:
                errors.append(str(error))

    with ThreadPoolExecutor(len(openers)) as pool:
        list(pool.map(open_all, openers))
    return errors


def open_to_write(journal):
    return open_store(journal, "acme/shout")


def test_many_open_a_new_journal_at_once(any_journals):
    """SQLite does not wait for a lock while a file becomes one with a write-ahead log."""
    assert open_at_once(any_journals, *[open_to_write] * 8) == []


def test_a_journal_is_read_while_it_is_created(any_journals):
    errors = open_at_once(any_journals, open_to_write, open_store_to_read, open_store_to_read)
    assert all("there is no journal" in each for each in errors), errors


def test_waiting_for_another_process_takes_one_task(both, server, path, monkeypatch):
    monkeypatch.setattr(intake, "HELD_INTERVAL", 0.02)
    client = both.client(server.base_url, poll_interval=0.01)
    other = replicate.Replicate("r8_secret", base_url=server.base_url, poll_interval=0.01)
    thread = threading.Thread(
        target=lambda: list(other.map("acme/gated", texts(3), journal=path)), daemon=True
    )
    thread.start()
    until(lambda: server.calls.total() == 3)
    results = client.map("acme/gated", texts(3), journal=path)
    found = []
    waiting = threading.Thread(target=lambda: found.extend(collect(both, results)))
    waiting.start()
    until(lambda: results._runner is not None and results._runner._intake._held)
    time.sleep(0.3)
    tasks = [each for each in results._runner._tasks._tasks if not each.done()]
    assert sum(each.get_coro().__name__ == "_watch_held" for each in tasks) == 1
    server.gate.set()
    waiting.join(20)
    thread.join(20)
    assert outputs(found) == ["T0", "T1", "T2"]
    assert server.creates == 3


def test_an_expired_lease_is_noticed_after_a_heartbeat(path):
    """The heartbeat of a process that was suspended must not make it forget that."""
    first = open_store(str(path), "acme/x")
    item = read_input({"text": "a"}, 0, target_digest("acme/x"))
    (claim,) = first.claim([item])
    change(path, "UPDATE workers SET seen_at = seen_at - 100")
    second = open_store(str(path), "acme/x")
    # It trusts heartbeats, although the database was started a moment ago.
    second._distrusts_until = 0.0
    (taken,) = second.claim([item])
    assert taken.kind == UNCERTAIN
    assert first.renew() is False
    assert not first.has_lease
    with pytest.raises(JournalError, match="another process has taken"):
        first.renew_for(claim.number)
    first.close()
    second.close()


# Others.


def test_a_journal_of_another_model(both, client, server, path):
    collect(both, client.map("acme/shout", texts(1), journal=path))
    with pytest.raises(JournalError, match=r"the journal of acme/shout, not of acme/picky"):
        collect(both, client.map("acme/picky", texts(1), journal=path))
    assert server.creates == 1


def test_a_missing_model_leaves_a_journal_that_goes_on(both, client, server, path):
    with pytest.raises(NotFoundError):
        collect(both, client.map("acme/later", texts(3), journal=path))

    @server.model("acme/later")
    def later(text: str) -> str:
        return text.upper()

    assert outputs(collect(both, client.map("acme/later", texts(3), journal=path))) == [
        "T0",
        "T1",
        "T2",
    ]
    assert server.creates == 3


# Reading.


def test_the_summary_and_the_results(both, client, server, path):
    inputs = [("a", {"text": "x"}), ("b", {"text": "bad"}), ("c", {"text": "y"})]
    collect(both, client.map("acme/picky", inputs, journal=path, concurrency=1))
    with Journal(path) as journal:
        summary = journal.summary()
        assert (summary.target, summary.total, summary.succeeded, summary.failed) == (
            "acme/picky",
            3,
            2,
            1,
        )
        assert (summary.open, summary.attempts, summary.workers) == (0, 3, 0)
        assert summary.created_at <= summary.ended_at
        assert [(each.key, each.output) for each in journal.results(failed=False)] == [
            ("a", "X"),
            ("c", "Y"),
        ]
        (failed,) = journal.results(failed=True)
        assert (failed.key, failed.status, failed.error) == ("b", "failed", "OOM")
        assert len([*journal.results()]) == 3
        shown = str(path).replace(f":{PASSWORD}", "")
        assert repr(journal) == f"Journal({shown!r})"


def test_a_journal_is_read_while_it_is_written(both, client, server, path):
    seen = []

    def look():
        until(lambda: server.calls.total() == 7)
        with Journal(path) as journal:
            seen.append(journal.summary())

    inputs = [*texts(5), *texts(2, "wait")]
    take(both, client.map("acme/some", inputs, journal=path), 5, look)
    (summary,) = seen
    assert (summary.total, summary.succeeded, summary.open, summary.workers) == (7, 5, 2, 1)
    with Journal(path) as journal:
        assert journal.summary().workers == 0


def test_export(both, client, server, path, tmp_path):
    collect(both, client.map("acme/shout", [("a", {"text": "x"})], journal=path))
    with Journal(path) as journal:
        assert journal.to_jsonl(tmp_path / "out.jsonl") == 1
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    data = json.loads(line)
    assert (data["key"], data["input"], data["output"]) == ("a", {"text": "x"}, "X")


def begin_with_empty_journal(both, results):
    """Collect results on a thread; the call reads a few inputs at a time."""
    found = []
    thread = threading.Thread(target=lambda: found.extend(collect(both, results)))
    thread.start()
    until(lambda: results._runner is not None and results._runner._intake._hungry)
    until(lambda: not results._runner._intake._is_skipping)
    return thread, found


def test_more_inputs_of_a_dead_process_than_may_run(both, client, server, path):
    """What is taken over runs although as many inputs are taken as may be, and others wait."""
    first, second = (open_store(str(path), "acme/shout") for _ in range(2))
    digest = target_digest("acme/shout")
    others = [read_input(each, index, digest) for index, each in enumerate(texts(60))]
    claimed = threading.Event()

    def inputs():
        claimed.wait(20)
        yield from texts(40)
        server.gate.wait(20)
        yield from texts(60)[40:]

    results = client.map("acme/shout", inputs(), journal=path, concurrency=2)
    thread, found = begin_with_empty_journal(both, results)
    held = lambda: results._runner._intake._held  # noqa: E731 - asked several times
    first.claim(others[:40])
    second.claim(others[40:])
    claimed.set()
    until(lambda: len(held()) == 40)
    first.release([])
    first.close()
    until(lambda: not held())
    server.gate.set()
    until(lambda: len(held()) == 20)
    second.release([])
    second.close()
    thread.join(30)
    assert outputs(found) == [f"T{n}" for n in range(60)]
    assert server.creates == 60


def test_inputs_of_a_dead_process_come_while_a_turn_is_waited_for(
    both, client, server, path, monkeypatch
):
    """More are taken over than may be taken, after it was seen that more may be."""
    monkeypatch.setattr(intake, "HELD_INTERVAL", 0.02)
    wait_turn = Pace.wait_turn

    is_waited_for = threading.Event()

    async def wait(self):
        # The first turn is that of the first input that no other process has.
        while 0 < server.calls.total() <= 30:
            is_waited_for.set()
            await asyncio.sleep(0.01)
        await wait_turn(self)

    monkeypatch.setattr(Pace, "wait_turn", wait)
    monkeypatch.setattr(SharedPace, "wait_turn", wait)
    store = open_store(str(path), "acme/shout")
    digest = target_digest("acme/shout")
    others = [read_input(each, index, digest) for index, each in enumerate(texts(30))]
    claimed = threading.Event()

    def inputs():
        claimed.wait(20)
        yield from texts(40)

    results = client.map("acme/shout", inputs(), journal=path, concurrency=1, rate=600, timeout=30)
    thread, found = begin_with_empty_journal(both, results)
    claims = store.claim(others)
    claimed.set()
    assert is_waited_for.wait(20)
    store.release([each.number for each in claims])
    store.close()
    thread.join(40)
    assert outputs(found) == [f"T{n}" for n in range(40)]
    assert server.creates == 40


def test_leaving_while_it_ends_by_itself_leaves_the_journal_in_order(
    both, client, server, path, monkeypatch
):
    stop = Delivery.stop

    def stop_as_the_caller_leaves(self):
        stop(self)
        self._tasks._main.cancel()

    monkeypatch.setattr(Delivery, "stop", stop_as_the_caller_leaves)
    results = client.map("acme/shout", texts(3), journal=path)
    assert outputs(collect(both, results)) == ["T0", "T1", "T2"]
    no_threads()
    with Journal(path) as journal:
        assert journal.summary().workers == 0


def test_a_prediction_that_only_looks_like_the_own_is_left_to_whose_it_is(server):
    """Also where the other one is looked for a little later."""

    async def main():
        async with replicate.AsyncReplicate("r8_secret", base_url=server.base_url) as client:
            prediction = await client.predictions.create(model="acme/shout", input={"text": "x"})

            async def find_known(ids, since):
                return set()

            search = lookup.Lookup(client, ("acme/shout", None, None), find_known)
            now = time.time()
            more = asyncio.ensure_future(search.find({"text": "x", "seed": 3}, now))
            before = len(server.requests)
            await asyncio.to_thread(until, lambda: len(server.requests) > before)
            less = await search.find({"text": "x"}, now)
            assert less.id == prediction.id
            assert await more is None

    asyncio.run(main())
