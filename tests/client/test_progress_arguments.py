"""``progress=True`` of runs, waits, downloads and uploads, and the functions of downloads."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest

import replicate_rs
from replicate_rs import FileOutput, ModelError, exceptions
from replicate_rs._base import progress_bar
from replicate_rs.local import LocalReplicate, progress, sleep
from support.downloads import save
from support.hosts import CONTENT, Host, sending
from support.terminals import Terminal
from support.uploads import LARGE, ProgressLog, Uploads
from support.wire import Wire, reply

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=["tqdm", "line"])
def terminal(request, monkeypatch):
    """A terminal, with tqdm and without it."""
    monkeypatch.setattr(progress_bar, "INTERVAL", 0.0)
    monkeypatch.setattr(progress_bar.Line, "interval", 0.0)
    if request.param == "line":
        monkeypatch.setitem(sys.modules, "tqdm", None)
    terminal = Terminal()
    yield terminal
    terminal.close()
    assert progress_bar._lines == []


@pytest.fixture
def server(tmp_path):
    with LocalReplicate() as server:

        @server.model("acme/steps")
        def steps(text: str) -> str:
            for count in range(1, 4):
                progress(count, 4)
                sleep(0.2)
            if text == "bad":
                raise ValueError("bad input")
            return text

        @server.model("acme/files")
        def files(count: int) -> list[Path]:
            paths = [tmp_path / f"{number}.bin" for number in range(count)]
            for path in paths:
                path.write_bytes(CONTENT)
            return paths

        yield server


@pytest.fixture
def client(both, server):
    return both.client(server.base_url, api_token=server.token, poll_interval=0.01)


def save_all(both, *args, **options):
    function = replicate_rs.asave_all if both.is_async else replicate_rs.save_all
    return both(lambda: function(*args, **options))


def assert_run_is_drawn(drawings, status):
    assert all(each.startswith("acme/steps: ") for each in drawings)
    assert any("25%" in each or "50%" in each or "75%" in each for each in drawings)
    assert f"status {status}" in drawings[-1]


def test_a_run_is_drawn_to_its_end(both, client, terminal):
    terminal.start()
    assert both(lambda: client.run("acme/steps", {"text": "hi"}, progress=True)) == "hi"
    drawings = terminal.drawings()
    assert_run_is_drawn(drawings, "succeeded")
    assert "100%" in drawings[-1]


def test_a_wait_is_drawn_to_its_end(both, client, terminal):
    created = both(lambda: client.predictions.create(model="acme/steps", input={"text": "hi"}))
    terminal.start()
    assert both(lambda: client.wait(created, progress=True)).output == "hi"
    assert_run_is_drawn(terminal.drawings(), "succeeded")


def test_a_run_that_fails_closes_its_bar(both, client, terminal):
    terminal.start()
    with pytest.raises(ModelError, match="bad input"):
        both(lambda: client.run("acme/steps", {"text": "bad"}, progress=True))
    text = terminal.close()
    assert text.endswith("\n")
    assert_run_is_drawn(terminal.drawings(), "failed")


def test_a_run_that_times_out_closes_its_bar(both, client, terminal):
    terminal.start()
    with pytest.raises(exceptions.PredictionTimeout):
        both(lambda: client.run("acme/steps", {"text": "hi"}, progress=True, timeout=0.1))
    assert terminal.close().endswith("\n")


@pytest.mark.parametrize("value", [False, None])
def test_false_is_no_progress(both, client, terminal, value, tmp_path):
    terminal.start()
    options = {"progress": value, "upload_progress": value}
    assert both(lambda: client.run("acme/steps", {"text": "hi"}, **options)) == "hi"
    both(lambda: client.files.create(b"x", progress=value))
    output = both(lambda: client.run("acme/files", {"count": 1}))
    save(both, output[0], tmp_path / "a", progress=value)
    save_all(both, output, tmp_path, progress=value)
    assert terminal.close() == ""


def test_uploads_are_drawn(both, client, terminal, server):
    terminal.start()
    both(lambda: client.files.create(("large.bin", LARGE), progress=True))
    both(lambda: client.run("acme/steps", {"text": "a", "f": [LARGE, b"x"]}, upload_progress=True))
    text = terminal.close()
    assert text.count("\n") >= 2
    drawings = terminal.drawings()
    assert drawings[0].startswith("large.bin: ")
    assert drawings[-1].startswith("upload: ")
    assert "1.0" in drawings[-1] or "1.1" in drawings[-1]
    assert "M" in drawings[-1]


def test_an_upload_that_fails_closes_its_bar(both, terminal):
    terminal.start()
    with Uploads(lambda _: reply({"detail": "no"}, 400)) as server:
        client = both.client(server.base_url)
        with pytest.raises(exceptions.BadRequestError):
            both(lambda: client.files.create(LARGE, progress=True))
        with pytest.raises(exceptions.BadRequestError):
            both(lambda: client.predictions.create("v", {"f": LARGE}, upload_progress=True))


def test_downloads_are_drawn(both, client, terminal, tmp_path):
    output = both(lambda: client.run("acme/files", {"count": 3}))
    terminal.start()
    save(both, output[0], tmp_path / "one.bin", progress=True)
    paths = save_all(both, output, tmp_path / "all", progress=True)
    assert [path.read_bytes() for path in paths] == [CONTENT] * 3
    drawings = terminal.drawings()
    assert drawings[0].startswith("one.bin: ")
    last = drawings[-1]
    assert last.startswith("save_all: ")
    assert "3/3" in last or "3 of 3 files" in last


def test_data_uris_are_drawn(both, terminal, tmp_path):
    client = both.client("https://x.test")
    output = FileOutput("data:text/plain,hello", client)
    terminal.start()
    save(both, output, tmp_path / "one.txt", progress=True)
    save_all(both, [output, output], tmp_path, progress=True)
    drawings = terminal.drawings()
    assert drawings[0].startswith("one.txt: ")
    assert "2/2" in drawings[-1] or "2 of 2 files" in drawings[-1]


def test_runs_at_once_do_not_break_each_other_s_bars(both, client, terminal, server):
    twin = replicate_rs.Replicate(server.token, base_url=server.base_url, poll_interval=0.01)
    terminal.start()

    async def run_many():
        return await asyncio.gather(
            *(twin.async_run("acme/steps", {"text": f"{n}"}, progress=True) for n in range(4))
        )

    results = {}

    def run(name):
        results[name] = twin.run("acme/steps", {"text": name}, progress=True)

    if both.is_async:
        assert asyncio.run(run_many()) == ["0", "1", "2", "3"]
    else:
        threads = [threading.Thread(target=run, args=(f"{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {f"{n}": f"{n}" for n in range(4)}
    text = terminal.close()
    assert "status succeeded" in text
    assert "\n" in text


def test_without_a_terminal_only_tqdm_prints(both, client, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    both(lambda: client.run("acme/steps", {"text": "hi"}, progress=True))
    both(lambda: client.files.create(b"x", progress=True))
    output = both(lambda: client.run("acme/files", {"count": 1}))
    save(both, output[0], tmp_path / "a", progress=True)
    save_all(both, output, tmp_path, progress=True)
    assert capsys.readouterr() == ("", "")


def test_a_function_is_told_the_bytes_of_a_download(both, tmp_path):
    told = ProgressLog()
    gate = threading.Event()

    def answer(_):
        def send(connection):
            response = reply(LARGE, kind="video/mp4")
            connection.sendall(response[:-1000])
            gate.wait(10)
            connection.sendall(response[-1000:])

        return send

    def on_progress(done, total):
        told(done, total)
        if done >= len(LARGE) - 1000:
            gate.set()

    with Wire(answer) as wire:
        output = FileOutput(f"{wire.origin}/a.mp4", both.client("https://x.test"))
        save(both, output, tmp_path / "a.mp4", progress=on_progress)
    assert (tmp_path / "a.mp4").read_bytes() == LARGE
    done = [each for each, _ in told.calls]
    assert done == sorted(done)
    assert {total for _, total in told.calls} <= {None, len(LARGE)}
    assert told.calls[-1] == (len(LARGE),) * 2


def test_bytes_that_are_fetched_again_count_once(both, tmp_path):
    told = ProgressLog()
    with Host(cuts=(1000, 2000), parts=False, etag=None) as host:
        output = host.file(both.client("https://x.test"))
        save(both, output, tmp_path / "a", progress=told)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert all(done <= len(CONTENT) for done, _ in told.calls)
    assert told.calls[-1] == (len(CONTENT),) * 2


def test_a_function_is_told_the_files_that_are_saved(both, client, tmp_path):
    told = ProgressLog()
    output = both(lambda: client.run("acme/files", {"count": 20}))
    save_all(both, output, tmp_path, progress=told)
    done = [each for each, _ in told.calls]
    assert done == sorted(done)
    assert {total for _, total in told.calls} == {20}
    assert told.is_complete


def test_a_function_that_fails_ends_the_download(both, tmp_path):
    def fail(done, total):
        raise RuntimeError("not interested")

    def answer(_):
        return sending(reply(LARGE)[:5000], hang_up=False)

    with Wire(answer) as wire:
        output = FileOutput(f"{wire.origin}/a", both.client("https://x.test"))
        for call in (
            lambda: save(both, output, tmp_path / "a", progress=fail),
            lambda: save_all(both, [output], tmp_path, progress=fail),
        ):
            with pytest.raises(RuntimeError, match="not interested"):
                call()
            assert list(tmp_path.iterdir()) == []
        wire.until(lambda: wire.open_now == 0)


def test_an_aborted_download_closes_its_bar_and_leaves_no_file(both, terminal, tmp_path):
    terminal.start()
    with Wire(lambda _: sending(reply(LARGE)[:5000], hang_up=False)) as wire:
        output = FileOutput(f"{wire.origin}/a", both.client("https://x.test"))
        for call in (
            lambda signal: save(both, output, tmp_path / "a", progress=True, signal=signal),
            lambda signal: save_all(both, [output], tmp_path, progress=True, signal=signal),
        ):
            with pytest.raises(exceptions.AbortError):
                call(replicate_rs.AbortSignal.timeout(0.3))
            assert list(tmp_path.iterdir()) == []
        wire.until(lambda: wire.open_now == 0)
    assert terminal.close().endswith("\n")


@pytest.mark.parametrize("name", ["save", "save_all"])
def test_an_async_function_of_a_download_is_refused(both, name, tmp_path):
    async def is_async(done, total): ...

    client = both.client("https://x.test")
    output = FileOutput("data:,x", client)
    calls = {
        "save": lambda: save(both, output, tmp_path / "a", progress=is_async),
        "save_all": lambda: save_all(both, [output], tmp_path, progress=is_async),
    }
    with pytest.raises(TypeError, match="progress must be a plain function"):
        calls[name]()
