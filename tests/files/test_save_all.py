"""`save_all`: which files it finds, their names, and warnings of what it leaves out."""

import asyncio
import threading
from pathlib import Path

import pytest

import replicate_rs
from replicate_rs import FileOutput, ModelError, Prediction, exceptions
from support.hosts import sending, until
from support.wire import Wire, prediction, reply


def save_all(both, *args, **options):
    return both(
        lambda: (replicate_rs.asave_all if both.is_async else replicate_rs.save_all)(
            *args, **options
        )
    )


@pytest.fixture
def wire():
    with Wire(lambda seen: reply(seen.path.encode(), kind="image/png")) as wire:
        yield wire


@pytest.mark.filterwarnings("error")
def test_addresses_in_a_prediction_s_output_are_files(both, wire, tmp_path, monkeypatch):
    client = both.client(wire.base_url)
    output = {
        "images": [f"{wire.origin}/1.png", f"{wire.origin}/2.png"],
        "mask": "data:text/plain,hi",
    }
    made = Prediction._of(prediction(output=output), client._session)
    for paths in (
        save_all(both, made.output, tmp_path / "a", client=client),
        save_all(both, made.files(), tmp_path / "b"),
    ):
        assert [path.name for path in paths] == ["1.png", "2.png", "output.txt"]
        assert [path.read_bytes() for path in paths] == [b"/1.png", b"/2.png", b"hi"]
    # The default client fetches them too.
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    assert save_all(both, f"{wire.origin}/3.png", tmp_path)[0].read_bytes() == b"/3.png"


@pytest.mark.parametrize(
    "output", [None, [], {}, "text", ["text", None], 5, b"x", [RuntimeError("x")]]
)
def test_an_output_without_a_file_is_an_error(both, output, tmp_path):
    with pytest.raises(ValueError, match="holds no file") as caught:
        save_all(both, output, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    if output == "text":
        assert "'text'" in str(caught.value)


def test_a_prediction_itself_is_told_what_to_pass(both, tmp_path):
    made = Prediction._of(
        prediction(output="https://x.test/a.png"), both.client("https://x.test")._session
    )
    with pytest.raises(ValueError, match=r"prediction\.files\(\)"):
        save_all(both, made, tmp_path)


def test_what_failed_is_told_with_its_place(both, wire, tmp_path):
    client = both.client("https://x.test")
    failed = ModelError(
        Prediction._of(prediction("failed", error="out of memory"), client._session)
    )
    outputs = [
        FileOutput(f"{wire.origin}/0.png", client),
        failed,
        {"caption": "a cat", "image": f"{wire.origin}/2.png"},
    ]
    with pytest.warns(
        UserWarning,
        match=(
            r"output\[1\] \(ModelError: 'out of memory'\), output\[2\]\['caption'\] \(text: 'a"
            r" cat'\)"
        ),
    ) as told:
        paths = save_all(both, outputs, tmp_path, client=client)
    assert [path.name for path in paths] == ["0.png", "2.png"]
    assert both.is_async or told[0].filename == __file__
    with pytest.warns(UserWarning, match=r"output\[4\] .* and 7 more$"):
        save_all(both, ["x"] * 12 + [f"{wire.origin}/2.png"], tmp_path, client=client)
    with pytest.raises(ValueError, match="out of memory") as caught:
        save_all(both, [failed], tmp_path)
    assert caught.value.__cause__ is failed


def test_names_are_the_caller_s(both, wire, tmp_path):
    client = both.client("https://x.test")
    outputs = [FileOutput(f"{wire.origin}/{n}.png", client) for n in range(2)]
    assert [path.name for path in save_all(both, outputs, tmp_path, names=["cat.png", "dog"])] == [
        "cat.png",
        "dog",
    ]
    assert [path.name for path in save_all(both, outputs, tmp_path, names=("a", "b"))] == ["a", "b"]
    paths = save_all(
        both, outputs, tmp_path, names=lambda index, file: f"{index:03}-{file.filename}"
    )
    assert [path.name for path in paths] == ["000-0.png", "001-1.png"]
    assert paths[1].read_bytes() == b"/1.png"


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        (["a"], ValueError, "names must have one for each of the 2 files, not 1"),
        (["a", "A"], ValueError, r"names\[1\] must be another name than names\[0\]"),
        (["a", "../b"], ValueError, r"names\[1\] must be a file's name"),
        (["a", 5], TypeError, r"names\[1\] must be a str"),
        ("ab", TypeError, "names must be a list"),
    ],
)
def test_wrong_names_are_refused_before_anything_is_fetched(
    both, wire, tmp_path, names, error, match
):
    client = both.client("https://x.test")
    with pytest.raises(error, match=match):
        save_all(
            both,
            [FileOutput(f"{wire.origin}/{n}", client) for n in range(2)],
            tmp_path / "new",
            names=names,
        )
    assert not wire.seen
    assert not (tmp_path / "new").exists()


def test_a_warning_names_the_caller_s_line_on_an_event_loop(wire, tmp_path):
    async def main():
        with pytest.warns(UserWarning, match="left out") as told:
            await replicate_rs.asave_all(["x", "data:text/plain,y"], tmp_path)
        assert told[0].filename == __file__

    asyncio.run(main())


def test_every_file_of_an_output_is_saved(both, tmp_path):
    with Wire(lambda seen: reply(seen.path.encode(), kind="image/png")) as wire:
        client = both.client("https://x.test")

        def at(path):
            return FileOutput(wire.origin + path, client)

        output = {
            "images": [at("/1/out.png"), at("/2/out.png"), at("/3/OUT.png")],
            "text": "no file",
            "more": {"mask": at("/mask.png")},
        }
        output["inline"] = (FileOutput("data:text/plain,hi", client), None, 5)
        with pytest.warns(UserWarning, match=r"left out .*: output\['text'\] \(text: 'no file'\)$"):
            paths = save_all(both, output, tmp_path / "new" / "folder")
        del output["text"]
        assert [path.name for path in paths] == [
            "out.png",
            "out-2.png",
            "OUT-3.png",
            "mask.png",
            "output.txt",
        ]
        assert [path.read_text() for path in paths] == [
            "/1/out.png",
            "/2/out.png",
            "/3/OUT.png",
            "/mask.png",
            "hi",
        ]
        assert output["images"][0].size == 10
        asked = len(wire.seen)
        with pytest.raises(exceptions.FileError, match=r"out\.png.*overwrite is False"):
            save_all(both, output, tmp_path / "new" / "folder", overwrite=False)
        assert len(wire.seen) == asked
        assert save_all(both, output, str(tmp_path / "new" / "folder")) == paths


def test_a_file_that_is_there_is_kept_if_asked(both, tmp_path, monkeypatch):
    """Also a file that is created after the check."""
    with Wire(lambda seen: reply(b"new", kind="text/plain")) as wire:
        client = both.client("https://x.test")
        files = {
            "inline": FileOutput("data:text/plain,new", client),
            "remote": FileOutput(f"{wire.origin}/output.txt", client),
        }
        for kind, file in files.items():
            folder = tmp_path / kind
            folder.mkdir()
            (folder / "output.txt").write_text("old")
            with pytest.raises(exceptions.FileError, match="overwrite is False"):
                save_all(both, [file], folder, overwrite=False)
            assert (folder / "output.txt").read_text() == "old"
        # Another program creates the file first.
        monkeypatch.setattr(Path, "exists", lambda _: False)
        for kind, file in files.items():
            with pytest.raises(exceptions.FileError, match="output"):
                save_all(both, [file], tmp_path / kind, overwrite=False)
            assert (tmp_path / kind / "output.txt").read_text() == "old"


def test_they_are_fetched_sixteen_at_a_time(both, tmp_path):
    go = threading.Event()

    def held(connection):
        go.wait(10)
        return reply(b"x")

    with Wire(lambda _: held) as wire:
        client = both.client("https://x.test")
        outputs = [FileOutput(f"{wire.origin}/{n}", client) for n in range(40)]

        def watch():
            wire.until(lambda: len(wire.seen) == 16)
            most.append(len(wire.seen))
            go.set()

        most = []
        watcher = threading.Thread(target=watch)
        watcher.start()
        assert len(save_all(both, outputs, tmp_path)) == 40
        watcher.join()
        assert most == [16]


def test_one_that_fails_ends_the_others(both, tmp_path):
    waits = sending(reply(b"", length=10), hang_up=False)
    with Wire(
        lambda seen: (
            reply(b"", 404) if seen.path == "/5" else waits if seen.path > "/5" else reply(b"x")
        )
    ) as wire:
        client = both.client("https://x.test")
        outputs = [FileOutput(f"{wire.origin}/{n}", client) for n in range(10)]
        with pytest.raises(exceptions.NotFoundError):
            save_all(both, outputs, tmp_path)
        wire.until(lambda: wire.open_now <= 6)
    # Each of the other files is complete or absent.
    until(lambda: not [*tmp_path.glob(".*")])
    assert {each.name for each in tmp_path.iterdir()} <= {"0", "1", "2", "3", "4"}
    assert all(each.read_bytes() == b"x" for each in tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_an_error(both, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(exceptions.FileError, match="file"):
        save_all(both, FileOutput("data:,x", both.client("https://x.test")), tmp_path / "file")
