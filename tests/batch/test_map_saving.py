"""Files of outputs that `map` saves: their names, broken downloads, and what stops them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from replicate_rs import FileError
from replicate_rs._batch.saving import file_name
from support.conditions import until
from support.mapping import PNG, by_index, collect, fill, no_threads, texts
from support.wire import Wire, hang, prediction, reply

pytest_plugins = ["support.map_fixtures"]


@pytest.fixture
def client(map_client):
    return map_client


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_files_are_named_by_their_keys(both, client, server, tmp_path):
    folder = tmp_path / "new" / "images"
    inputs = [(f"cat{n}", each) for n, each in enumerate(texts(20))]
    results = by_index(collect(both, client.map("acme/paint", inputs, save_to=folder)))
    for n, each in enumerate(results):
        (path,) = each.files
        assert isinstance(path, Path)
        assert path.parent == folder
        assert path.stem == f"cat{n}"
        assert path.read_bytes() == PNG + f"t{n}".encode()
        assert each.error is None
    assert len(names(folder)) == 20


def test_several_files_of_an_output(both, client, server, tmp_path):
    inputs = [("a", {"text": "x", "count": 3}), ("b", {"text": "y", "count": 1})]
    first, second = by_index(collect(both, client.map("acme/frames", inputs, save_to=tmp_path)))
    assert [each.name for each in first.files] == ["a.1.png", "a.2.png", "a.3.png"]
    assert [each.read_bytes() for each in first.files] == [
        PNG + f"x {n}".encode() for n in range(3)
    ]
    assert [each.name for each in second.files] == ["b.png"]


def test_outputs_without_files(both, client, server, tmp_path):
    (result,) = collect(both, client.map("acme/shout", texts(1), save_to=tmp_path))
    assert (result.output, result.files, names(tmp_path)) == ("T0", None, [])


def test_keys_that_are_no_names(both, client, server, tmp_path):
    keys = [
        *("a/b", "a\\b", "a_b", "A_B", "..", ".", "../../etc/passwd", "/abs", "con", "a b", "a:b"),
        *("tab\t", "null", "ends.", "ends ", ".hidden", "ümlaut", "u\u0308mlaut", "日本" * 100),
        *("x" * 500, "x" * 499, "😀" * 300, "a?b*c|d<e>f", "%2e%2e", "~", "$HOME", "`id`"),
    ]
    inputs = [(key, {"text": f"{n}"}) for n, key in enumerate(keys)]
    results = by_index(collect(both, client.map("acme/paint", inputs, save_to=tmp_path / "in")))
    assert [each.error for each in results] == [None] * len(keys)
    assert names(tmp_path) == ["in"]
    paths = [path for each in results for path in each.files]
    assert len({path.name.casefold() for path in paths}) == len(keys)
    for n, path in enumerate(paths):
        assert path.parent == tmp_path / "in"
        assert path.read_bytes() == PNG + f"{n}".encode()
        assert len(path.name.encode()) < 200


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # A key, an extension and the file's number among several.
        (("a", ".png", 1), ("a.1", ".png", None)),
        (("a.png", "", None), ("a", ".png", None)),
        (("Cat", ".png", None), ("cat", ".png", None)),
        (("a/b", ".png", None), ("a_b", ".png", None)),
        (("\u00e9", ".png", None), ("e\u0301", ".png", None)),
        (("x" * 300, ".png", None), ("x" * 301, ".png", None)),
        (("STRASSE", ".png", None), ("straße", ".png", None)),
    ],
)
def test_keys_that_differ_have_names_that_differ(one, other):
    from unicodedata import normalize

    folded = [normalize("NFC", file_name(*each)).casefold() for each in (one, other)]
    assert folded[0] != folded[1]


def test_plain_keys_are_names_as_they_are():
    for key in ("cat", "cat_2", "7", "0af3", "a.b", "日本"):
        assert file_name(key, ".png") == f"{key}.png"
    assert file_name("cat", ".png", 2) == "cat.2.png"


def test_data_uris(both, client, server, tmp_path):
    server.settings.files = "data"
    inputs = [("a", {"text": "x"})]
    (result,) = collect(both, client.map("acme/paint", inputs, save_to=tmp_path))
    (path,) = result.files
    assert path.read_bytes() == PNG + b"x"


def file_server(answers):
    """Return a server of one prediction whose file is answered as listed; the last is repeated."""
    counts = {"file": 0}

    def script(seen):
        if seen.path.startswith("/file"):
            counts["file"] += 1
            return answers[min(counts["file"], len(answers)) - 1]
        return reply(
            prediction("succeeded", output=f"{wire.origin}/file.png", completed_at=now()), 201
        )

    wire = Wire(script)
    return wire


def now():
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat()


CUT = reply(b"half", length=100, kind="image/png")


def cut(connection):
    connection.sendall(CUT)


WHOLE = reply(b"whole", kind="image/png")


@pytest.mark.parametrize(
    "failure", [cut, reply(b"", 500), reply(b"", 503), None], ids=["cut", "500", "503", "closed"]
)
def test_a_broken_download_is_repeated(both, tmp_path, failure):
    with file_server([failure, failure, WHOLE]) as wire:
        client = both.client(wire.base_url, max_retries=0)
        inputs = [("a", {"text": "x"})]
        (result,) = collect(both, client.map("acme/x", inputs, save_to=tmp_path))
        assert [each.read_bytes() for each in result.files] == [b"whole"]
        assert names(tmp_path) == ["a.png"]


def test_files_that_are_gone_leave_a_result_that_says_so(both, tmp_path):
    with file_server([reply(b"", 404)]) as wire:
        client = both.client(wire.base_url, max_retries=0)
        journal = tmp_path / "runs.db"
        folder = tmp_path / "images"
        inputs = [("a", {"text": "x"})]
        (result,) = collect(both, client.map("acme/x", inputs, save_to=folder, journal=journal))
        assert result.status == "succeeded"
        assert result.files is None
        assert result.error.startswith("its files could not be saved: NotFoundError")
        assert names(folder) == []
        # It is tried again with the journal, and nothing is run again.
        script = wire.script
        wire.script = lambda seen: WHOLE if "file" in seen.path else script(seen)
        (result,) = collect(both, client.map("acme/x", inputs, save_to=folder, journal=journal))
        assert [each.read_bytes() for each in result.files] == [b"whole"]
        assert sum(each.method == "POST" for each in wire.seen) == 1


def test_an_output_whose_data_the_api_has_removed(both, client, server, tmp_path):
    journal = tmp_path / "runs.db"
    inputs = [("a", {"text": "x"})]
    collect(both, client.map("acme/paint", inputs, journal=journal))
    with contextlib.closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE inputs SET status = 'running', ended_at = NULL, output = NULL")
    server.advance(hours=2)
    (result,) = collect(
        both, client.map("acme/paint", inputs, journal=journal, save_to=tmp_path / "images")
    )
    assert (result.status, result.output, result.files) == ("succeeded", None, None)
    assert "removed" in result.error
    assert server.creates == 1


def test_one_file_of_several_that_is_gone(both, tmp_path):
    """The others are written before the result is given, and nothing is written after it."""

    def script(seen):
        if seen.path.startswith("/gone"):
            return reply(b"", 404)
        if seen.path.startswith("/slow"):
            time.sleep(0.3)
            return WHOLE
        urls = [f"{wire.origin}/gone.png", f"{wire.origin}/slow.png"]
        return reply(prediction("succeeded", output=urls), 201)

    with Wire(script) as wire:
        client = both.client(wire.base_url, max_retries=0)
        (result,) = collect(both, client.map("acme/x", [("a", {"text": "x"})], save_to=tmp_path))
        assert result.files is None
        assert "NotFoundError" in result.error
        assert names(tmp_path) == ["a.2.png"]


def test_a_slow_host_does_not_hold_runs_up(both, client, server, tmp_path):
    server.fault("GET /pbxt/*", times=1, delay=20, optional=True)
    fault = server.faults[0]
    results = client.map("acme/paint", texts(30), save_to=tmp_path, concurrency=2)
    seen = []

    async def iterate():
        async for each in results:
            seen.append(each)
            if len(seen) == 29:
                break

    if both.is_async:
        both(iterate)
    else:
        for each in results:
            seen.append(each)
            if len(seen) == 29:
                break
    assert fault.hits == 1
    assert all(each.files for each in seen)
    assert server.creates == 30


def test_a_folder_that_cannot_be_used(both, client, server, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for path in (file, file / "below"):
        with pytest.raises(FileError, match="save_to"):
            collect(both, client.map("acme/paint", texts(1), save_to=path))
    assert file.read_text() == "mine"
    assert server.requests == []
    no_threads()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_that_may_not_be_written(both, client, server, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="may not be written"):
        collect(both, client.map("acme/paint", texts(1), save_to=tmp_path))
    assert server.requests == []


def test_a_folder_that_vanishes_ends_the_run(both, client, server, tmp_path):
    """A disk that cannot be written ends the run; the journal knows what is to be saved."""
    folder, journal = tmp_path / "images", tmp_path / "runs.db"

    def vanish():
        until(lambda: server.calls.total() == 1)
        folder.rmdir()
        folder.write_text("in the way")
        server.gate.set()

    @server.model("acme/late")
    def late(text: str) -> bytes:
        server.calls[text] += 1
        server.gate.wait(10)
        return PNG + text.encode()

    inputs = [(f"k{n}", each) for n, each in enumerate(texts(1))]
    thread = threading.Thread(target=vanish)
    thread.start()
    with pytest.raises(FileError):
        collect(both, client.map("acme/late", inputs, save_to=folder, journal=journal))
    thread.join()
    folder.unlink()
    (result,) = collect(both, client.map("acme/late", inputs, save_to=folder, journal=journal))
    assert [each.read_bytes() for each in result.files] == [PNG + b"t0"]
    assert server.creates == 1


def test_killed_between_the_end_and_the_save(both, client, server, tmp_path):
    journal, folder = tmp_path / "runs.db", tmp_path / "images"
    inputs = [(f"k{n}", each) for n, each in enumerate(texts(5))]
    collect(both, client.map("acme/paint", inputs, journal=journal))
    results = by_index(
        collect(both, client.map("acme/paint", inputs, journal=journal, save_to=folder))
    )
    assert [each.files[0].read_bytes() for each in results] == [
        PNG + f"t{n}".encode() for n in range(5)
    ]
    assert server.creates == 5
    again = by_index(
        collect(both, client.map("acme/paint", inputs, journal=journal, save_to=folder))
    )
    assert [each.files for each in again] == [each.files for each in results]
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("SELECT count(files) FROM inputs").fetchone() == (5,)


def test_leaving_during_a_download_leaves_no_part(both, tmp_path):
    def begin(connection):
        connection.sendall(CUT)
        begun.set()
        hang(connection)

    begun = threading.Event()
    with file_server([begin]) as wire:
        client = both.client(wire.base_url)
        results = client.map("acme/x", [("a", {"text": "x"})], save_to=tmp_path)
        items = []
        consumer = threading.Thread(target=lambda: fill(both, items, results))
        consumer.start()
        assert begun.wait(10)
        results.close()
        consumer.join(10)
        assert items == []
        assert names(tmp_path) == []
        wire.until(lambda: not [each for each in wire._open.values() if each == "GET /file.png"])


def test_fsspec_is_asked_for(both, client, server, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match="needs the package fsspec"):
        collect(both, client.map("acme/paint", texts(1), save_to="memory://images"))
    assert server.requests == []


def test_a_url_of_a_folder(both, client, server, tmp_path):
    inputs = [("a", {"text": "x"})]
    (result,) = collect(both, client.map("acme/paint", inputs, save_to=f"file://{tmp_path}/in"))
    (path,) = result.files
    assert path.parent == tmp_path / "in"
    assert path.read_bytes() == PNG + b"x"
