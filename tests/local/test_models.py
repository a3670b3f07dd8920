"""Models: functions and their schemas, inputs and outputs, logs, cancellation."""

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from PIL import Image

import replicate_rs as replicate
from replicate_rs import exceptions
from replicate_rs.local import Input, LocalReplicate, cancelled, check_cancelled, progress, sleep
from support.conditions import until


class Pair(TypedDict):
    picture: Path
    score: float


@pytest.fixture
def server():
    with LocalReplicate() as server:
        yield server


@pytest.fixture
def client(server):
    return replicate.Replicate(api_token=server.token, base_url=server.base_url, poll_interval=0.01)


def test_annotations_become_the_schema(server):
    @server.model("acme/all")
    def all(
        text: Annotated[
            str, Input(description="What to say", min_length=1, max_length=9, regex="^a")
        ],
        steps: Annotated[int, Input(ge=1, le=50)] = 20,
        scale: float = 0.5,
        fast: bool = False,
        format: Literal["png", "jpg"] = "png",
        size: Annotated[int, Input(choices=[256, 512])] = 512,
        image: Path | None = None,
        mask: bytes = b"",
        files: list[Path] = [],  # noqa: B006 - as users write it
        extra: dict[str, Any] = {},  # noqa: B006 - as users write it
        anything: Any = None,
    ) -> str:
        return text

    schemas = server.openapi_schema("acme/all")["components"]["schemas"]
    given = schemas["Input"]
    assert given["required"] == ["text"]
    # As in Cog's schemas: unknown inputs are ignored.
    assert "additionalProperties" not in given
    properties = {
        name: {k: v for k, v in each.items() if k not in ("title",)}
        for name, each in given["properties"].items()
    }
    uri = {"type": "string", "format": "uri"}
    assert properties == {
        "text": {
            "type": "string",
            "description": "What to say",
            "minLength": 1,
            "maxLength": 9,
            "pattern": "^a",
            "x-order": 0,
        },
        "steps": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20, "x-order": 1},
        "scale": {"type": "number", "default": 0.5, "x-order": 2},
        "fast": {"type": "boolean", "default": False, "x-order": 3},
        "format": {"type": "string", "enum": ["png", "jpg"], "default": "png", "x-order": 4},
        "size": {"type": "integer", "enum": [256, 512], "default": 512, "x-order": 5},
        "image": {**uri, "nullable": True, "x-order": 6},
        "mask": {**uri, "x-order": 7},
        "files": {"type": "array", "items": uri, "default": [], "x-order": 8},
        "extra": {"type": "object", "default": {}, "x-order": 9},
        "anything": {"x-order": 10},
    }


@pytest.mark.parametrize(
    ("hint", "stream", "output"),
    [
        (str, False, {"type": "string"}),
        (int, False, {"type": "integer"}),
        (bool, False, {"type": "boolean"}),
        (Any, False, {}),
        (Path, False, {"type": "string", "format": "uri"}),
        (bytes, False, {"type": "string", "format": "uri"}),
        (Image.Image, False, {"type": "string", "format": "uri"}),
        (list[Path], False, {"type": "array", "items": {"type": "string", "format": "uri"}}),
        (dict[str, Any], False, {"type": "object"}),
        (
            Iterator[str],
            False,
            {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"},
        ),
        (
            AsyncIterator[Path],
            False,
            {
                "type": "array",
                "items": {"type": "string", "format": "uri"},
                "x-cog-array-type": "iterator",
            },
        ),
        (
            Iterator[str],
            True,
            {
                "type": "array",
                "items": {"type": "string"},
                "x-cog-array-type": "iterator",
                "x-cog-array-display": "concatenate",
            },
        ),
        (
            Pair,
            False,
            {
                "type": "object",
                "properties": {
                    "picture": {"type": "string", "format": "uri"},
                    "score": {"type": "number"},
                },
            },
        ),
    ],
)
def test_a_return_annotation_becomes_the_output(hint, stream, output):
    server = LocalReplicate()

    def function():
        raise NotImplementedError

    function.__annotations__["return"] = hint
    server.model("acme/x", stream=stream)(function)
    assert server.openapi_schema("acme/x")["components"]["schemas"]["Output"] == {
        "title": "Output",
        **output,
    }


def bare(text) -> str: ...


def silent(text: str): ...


def starred(*texts: str) -> str: ...


def strange(when: threading.Event) -> str: ...


def odd() -> threading.Event: ...


def yields() -> str:
    yield "a"


def whole() -> str:
    return ""


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        (bare, {}, "acme/x: the parameter 'text' is not annotated: write `text: str`"),
        (silent, {}, "acme/x does not say what it returns: write `-> str`"),
        (starred, {}, "acme/x: 'texts' has no name that an input could have"),
        (
            strange,
            {},
            "acme/x: the parameter 'when' is Event, which the API cannot carry: take str",
        ),
        (odd, {}, "acme/x returns Event, which the API cannot carry: return str"),
        (yields, {}, "acme/x yields, so it returns an iterator: write `-> Iterator"),
        (whole, {"stream": True}, "acme/x: stream=True is for text: write a generator"),
    ],
)
def test_a_function_that_cannot_be_a_model_is_refused_in_a_line(function, options, says):
    with pytest.raises(TypeError) as caught:
        LocalReplicate().model("acme/x", **options)(function)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x", "a/b/c", "/x", "a/", "a b/c", "a/b:c", ""])
def test_a_name_is_owner_and_name(name):
    with pytest.raises(ValueError, match="a model's name is 'owner/name'"):
        LocalReplicate().model(name)


def test_inputs_that_do_not_fit_get_the_api_s_422(server, client):
    @server.model("acme/x")
    def x(
        prompt: str,
        steps: Annotated[int, Input(ge=1, le=4)] = 1,
        format: Literal["jpg", "png"] = "jpg",
        tags: list[str] = [],  # noqa: B006 - as users write it
    ) -> str:
        return prompt

    server.settings.unknown_inputs = "refuse"
    with pytest.raises(exceptions.UnprocessableEntityError) as caught:
        client.run("acme/x", {"steps": 5, "format": "gif", "more": 1, "tags": [1]})
    lines = caught.value.detail.splitlines()
    assert sorted(lines) == [
        '- input.format: input.format must be one of the following: "jpg", "png"',
        "- input.steps: Must be less than or equal to 4",
        "- input.tags.0: Invalid type. Expected: string, given: integer",
        "- input: Additional property more is not allowed",
        "- input: prompt is required",
    ]
    assert server.running == 0


@pytest.mark.parametrize("stream", [False, True])
def test_inputs_that_a_model_does_not_have_are_ignored_and_named_in_the_logs(
    server, client, stream
):
    @server.model("acme/x", stream=stream)
    def x(prompt: str, image: bytes = b"") -> Iterator[str] if stream else str:
        print("begun")
        return iter([prompt]) if stream else prompt

    given = {"prompt": "hi", "negative_prompt": "no", "prommpt": None, "image": b"1", "mask": b"2"}
    prediction = client.predictions.create(model="acme/x", input=given, wait=True)
    prediction.reload()
    assert prediction.output == (["hi"] if stream else "hi")
    assert prediction.input["negative_prompt"] == "no"
    assert prediction.logs.splitlines() == [
        "Ignored inputs that acme/x does not have: 'negative_prompt', 'prommpt', 'mask'",
        "begun",
    ]
    assert (
        client.predictions.create(model="acme/x", input={"prompt": "hi"}, wait=True).logs
        == "begun\n"
    )


def test_a_function_that_takes_any_input_gets_them_all(server, client):
    @server.model("acme/x")
    def x(text: str, **others: Any) -> dict[str, Any]:
        return others

    for unknown in ("drop", "refuse"):
        server.settings.unknown_inputs = unknown
        prediction = client.predictions.create(
            model="acme/x", input={"text": "hi", "more": 1}, wait=True
        )
        assert (prediction.output, prediction.logs) == ({"more": 1}, "")


def test_a_training_ignores_unknown_inputs_too(server, client):
    @server.model("acme/base")
    def base(text: str = "") -> str:
        return text

    @server.training("acme/base")
    def train(steps: int = 1) -> bytes:
        return b"%d" % steps

    client.models.create("acme", "own", visibility="private", hardware="cpu")
    version = client.models.get("acme/base").latest_version.id
    training = client.trainings.create(
        model="acme/base", version=version, destination="acme/own", input={"steps": 2, "epochs": 9}
    )
    training.wait()
    assert "Ignored inputs that acme/base does not have: 'epochs'" in training.logs
    server.settings.unknown_inputs = "refuse"
    with pytest.raises(
        exceptions.UnprocessableEntityError, match="Additional property epochs is not allowed"
    ):
        client.trainings.create(
            model="acme/base", version=version, destination="acme/own", input={"epochs": 9}
        )


def test_files_arrive_as_the_function_asks_for_them_and_leave_as_urls(server, client, tmp_path):
    @server.model("acme/files")
    def files(
        path: Path, content: bytes, several: list[Path], none: Path | None = None
    ) -> dict[str, Any]:
        assert none is None
        text = (
            f"{path.name} {path.read_text()} {content.decode()}"
            f" {[each.read_text() for each in several]}"
        )
        path.write_text("the model's own copy")
        picture = tmp_path / "a b.png"
        Image.new("RGB", (2, 2)).save(picture)
        return {
            "text": text,
            "path": picture,
            "bytes": b"raw",
            "image": Image.new("RGB", (3, 3)),
            "list": [picture],
        }

    source = tmp_path / "in.txt"
    source.write_text("one")
    output = client.run(
        "acme/files",
        {"path": source, "content": b"two", "several": ["data:text/plain,three", source]},
    )
    assert output["text"] == "in.txt one two ['three', 'one']"
    assert output["bytes"].read() == b"raw"
    assert Image.open(io.BytesIO(output["image"].read())).size == (3, 3)
    assert output["path"].read() == output["list"][0].read() == (tmp_path / "a b.png").read_bytes()
    assert str(output["path"]).startswith(server.output_origin + "/pbxt/")


def test_an_output_of_one_model_is_an_input_of_another_and_so_is_any_url(server, client):
    @server.model("acme/make")
    def make() -> bytes:
        return b"made"

    @server.model("acme/size")
    def size(file: bytes) -> int:
        return len(file)

    assert client.run("acme/size", {"file": client.run("acme/make", {})}) == 4
    assert client.run("acme/size", {"file": f"{server.origin}/"}) > 100
    with pytest.raises(exceptions.ModelError, match="input file .* cannot be fetched"):
        client.run("acme/size", {"file": "http://127.0.0.1:1/x"})
    with pytest.raises(exceptions.ModelError, match="does not exist, or has expired"):
        client.run("acme/size", {"file": f"{server.base_url}/files/nope"})


def test_every_kind_of_function_is_a_model(server, client):
    @server.model("acme/sync")
    def sync(n: int) -> int:
        return n + 1

    @server.model("acme/async")
    async def asynchronous(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    @server.model("acme/generator")
    def generator(n: int) -> Iterator[int]:
        yield from range(n)

    @server.model("acme/async-generator")
    async def async_generator(n: int) -> AsyncIterator[int]:
        for each in range(n):
            await asyncio.sleep(0)
            yield each

    @server.model("acme/iterator")
    def iterator(n: int) -> Iterator[int]:
        return iter(range(n))

    assert [client.run(f"acme/{name}", {"n": 3}) for name in ("sync", "async")] == [4, 4]
    for name in ("generator", "async-generator", "iterator"):
        assert client.run(f"acme/{name}", {"n": 3}) == [0, 1, 2]
        assert client.run(f"acme/{name}", {"n": 0}) == []


def test_what_a_model_prints_becomes_its_logs_and_nobody_else_s(server, client, capsys):
    @server.model("acme/prints")
    def prints(name: str) -> str:
        print("hello", name)
        for step in range(3):
            progress(step, 2)
        return name

    predictions = [
        client.predictions.create(model="acme/prints", input={"name": each}, wait=True)
        for each in "ab"
    ]
    for name, prediction in zip("ab", predictions, strict=True):
        assert prediction.logs.startswith(f"hello {name}\n")
        assert (prediction.progress.percentage, prediction.progress.current) == (1.0, 2)
    print("mine")
    assert capsys.readouterr().out == "mine\n"


def test_a_progress_bar_is_one_line_a_step(server, client, monkeypatch):
    from tqdm import tqdm

    monkeypatch.setattr(tqdm, "monitor_interval", 0)

    @server.model("acme/bar")
    def bar(n: int) -> str:
        for _ in tqdm(range(n), mininterval=0):
            pass
        return "done"

    logs = client.predictions.create(model="acme/bar", input={"n": 4}, wait=True).logs
    lines = logs.splitlines()
    assert "\r" not in logs
    assert list(dict.fromkeys(line.split("|")[0].strip() for line in lines)) == [
        "0%",
        "25%",
        "50%",
        "75%",
        "100%",
    ]
    assert replicate.parse_progress_from_logs(logs).total == 4


def test_a_model_that_raises_fails_with_its_message_and_its_traceback_in_the_logs(server, client):
    @server.model("acme/raises")
    def raises() -> str:
        print("before")
        raise ValueError("no such style")

    with pytest.raises(exceptions.ModelError, match="no such style") as caught:
        client.run("acme/raises", {})
    logs = caught.value.prediction.logs
    assert logs.startswith("before\nTraceback")
    assert logs.endswith("ValueError: no such style\n")


@pytest.mark.parametrize(
    ("value", "says"),
    [({1, 2}, "returned set"), (float("nan"), "returned nan"), (object(), "object")],
)
def test_an_output_that_is_not_json_fails_in_a_line(server, client, value, says):
    @server.model("acme/x")
    def x() -> Any:
        return value

    with pytest.raises(
        exceptions.ModelError, match=f"acme/x .*{says}.* is not JSON: return str"
    ) as caught:
        client.run("acme/x", {})
    assert "\n" not in caught.value.prediction.error


@pytest.mark.parametrize("way", ["sleeps", "asks", "awaits", "yields"])
def test_a_cancelled_model_is_told(server, client, way):
    stopped = []

    @contextlib.contextmanager
    def noted():
        try:
            yield
        except BaseException as error:
            stopped.append(type(error).__name__)
            raise

    def sleeps() -> str:
        with noted():
            sleep(60)
        return ""

    def asks() -> str:
        until(cancelled)
        with noted():
            check_cancelled()
        return ""

    async def awaits() -> str:
        with noted():
            await asyncio.sleep(60)
        return ""

    def yields() -> Iterator[str]:
        with noted():
            while True:
                yield "tick"

    server.model("acme/x")(locals()[way])
    prediction = client.predictions.create(model="acme/x", input={})
    until(lambda: client.predictions.get(prediction.id).status == "processing")
    assert client.predictions.cancel(prediction.id).status == "canceled"
    until(lambda: stopped)
    assert client.predictions.get(prediction.id).status == "canceled"
    assert stopped[0] in ("Cancelled", "CancelledError", "GeneratorExit")


def test_a_model_that_does_not_listen_does_not_hold_up_the_end():
    deaf = threading.Event()
    server = LocalReplicate()

    @server.model("acme/deaf")
    def deaf_model() -> str:
        deaf.wait(60)
        return "too late"

    with server:
        client = replicate.Replicate(api_token=server.token, base_url=server.base_url)
        client.predictions.create(model="acme/deaf", input={})
        until(lambda: server.running)
    deaf.set()
    assert server.running == 0


def test_a_cold_start_and_a_full_house_keep_predictions_starting(server, client):
    server.settings.concurrency = 1

    @server.model("acme/cold", cold_start=60)
    def cold() -> str:
        return "warm"

    prediction = client.predictions.create(model="acme/cold", input={})
    assert client.predictions.get(prediction.id).status == "starting"
    server.advance(seconds=60)
    assert client.wait(prediction).output == "warm"


def test_a_second_function_of_one_name_is_a_second_version(server, client):
    server.model("acme/x")(whole)
    first = server.version("acme/x")

    @server.model("acme/x")
    def second(n: int) -> int:
        return 2 * n

    assert server.version("acme/x") != first
    assert client.run("acme/x", {"n": 2}) == 4
    assert client.predictions.create(version=first, input={}, wait=True).output == ""


def test_a_server_is_started_again_with_its_models_only():
    server = LocalReplicate()
    server.model("acme/x")(whole)
    for _ in range(2):
        with server:
            client = replicate.Replicate(api_token=server.token, base_url=server.base_url)
            assert list(client.predictions.list()) == []
            client.run("acme/x", {})
        assert [each.path for each in server.requests][-1] == "/v1/models/acme/x/predictions"
    with pytest.raises(RuntimeError, match="does not run"):
        server.advance(hours=1)
    with pytest.raises(RuntimeError, match="was never started"):
        LocalReplicate().requests
