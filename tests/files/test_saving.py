"""`save_all`: what it takes for a file, what it calls it, and what it says of the rest."""

import asyncio

import pytest

import replicate_rs
from replicate_rs import FileOutput, ModelError, Prediction
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
    # Without a client, it is the default one.
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
