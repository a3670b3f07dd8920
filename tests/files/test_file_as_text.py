"""An output file where text is expected: it is its URL, and nothing is fetched."""

import asyncio
import html
import html.parser
import json
import os
from typing import Any

import httpx
import pydantic
import pytest
from fastapi import FastAPI
from flask import Flask, jsonify, render_template_string

from conftest import script
from replicate_rs import AsyncReplicate, FileOutput, Prediction, Replicate

URL = "https://x.test/a.png?s=1&t=2"


@pytest.fixture(params=[Replicate, AsyncReplicate])
def output(request):
    return FileOutput(URL, request.param("r8_secret", base_url="http://127.0.0.1:1"))


def test_it_is_text_in_expressions(output):
    assert f"{output}" == str(output) == "".join([str(output)]) == f"{output!s:}" == URL
    assert f"{output:>40}" == URL.rjust(40)
    assert "see " + output == f"see {URL}"
    assert output + "#x" == f"{URL}#x"
    assert "%s" % output == URL  # noqa: UP031 - one of the ways
    assert "https" in output
    assert "ftp" not in output
    for wrong in (
        lambda: output + 5,
        lambda: 5 + output,
        lambda: b"x" in output,
        lambda: b"x" + output,
    ):
        with pytest.raises(TypeError):
            wrong()


def test_it_does_not_look_like_a_mapping(output):
    for name in ("keys", "items", "values", "get", "__getitem__", "__len__"):
        assert not hasattr(output, name)
    with pytest.raises(TypeError, match=r"no mapping: str\(output\) is its URL, output\.read\(\)"):
        dict(output)
    with pytest.raises(TypeError, match="no mapping"):
        {}.update(output)
    with pytest.raises(TypeError, match="mapping"):
        {**output}
    with pytest.raises(TypeError):
        vars(output)


def test_who_asked_for_keys_may_iterate():
    output = FileOutput("data:,abc", Replicate("t"))
    for _ in range(2):
        if not hasattr(output, "keys"):
            assert b"".join(output) == b"abc"
        assert [hasattr(output, "keys"), list(output)] == [False, [b"abc"]]
    with pytest.raises(TypeError):
        dict(output)
    assert list(output) == [b"abc"]


def test_json_has_its_url(output):
    assert json.loads(json.dumps({"a": [output]}, default=str)) == {"a": [URL]}


class Answer(pydantic.BaseModel):
    image: FileOutput
    more: list[FileOutput] = []
    anything: Any = None


def test_pydantic_writes_and_reads_its_url(output):
    answer = Answer(image=output, more=[output], anything={"x": output})
    assert answer.image is output
    expected = {"image": URL, "more": [URL], "anything": {"x": URL}}
    assert json.loads(answer.model_dump_json()) == answer.model_dump(mode="json") == expected
    assert Answer.model_validate_json(answer.model_dump_json()).image == output
    with pytest.raises(pydantic.ValidationError, match="URL of a file"):
        Answer(image="no file")
    for mode in ("validation", "serialization"):
        assert Answer.model_json_schema(mode=mode)["properties"]["image"] == {
            "type": "string",
            "format": "uri",
            "title": "Image",
        }
    assert pydantic.TypeAdapter(Any).dump_json(output) == json.dumps(URL).encode()


def asked(app, path):
    async def ask():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://app"
        ) as web:
            answer = await web.get(path)
            return answer.status_code, answer.json()

    return asyncio.run(ask())


def test_fastapi_answers_with_its_url(output):
    app = FastAPI()

    @app.get("/plain")
    async def plain():
        return {"image": output, "all": [output]}

    @app.get("/bare")
    async def bare():
        return output

    @app.get("/any")
    async def anything() -> dict[str, Any]:
        return {"image": output}

    @app.get("/model")
    async def model() -> Answer:
        return Answer(image=output)

    @app.get("/typed", response_model=list[FileOutput])
    async def typed():
        return [output]

    assert asked(app, "/plain") == (200, {"image": URL, "all": [URL]})
    assert asked(app, "/bare") == (200, URL)
    assert asked(app, "/any") == (200, {"image": URL})
    assert asked(app, "/model")[1]["image"] == URL
    assert asked(app, "/typed") == (200, [URL])
    assert asked(app, "/openapi.json")[0] == 200


def test_fastapi_may_come_later():
    code = f"""
        from replicate_rs import FileOutput, Replicate
        output = FileOutput({URL!r}, Replicate("t"))
        from fastapi.encoders import jsonable_encoder
        assert jsonable_encoder({{"image": output}}) == {{"image": {URL!r}}}
    """
    done = script(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_flask_answers_with_its_url(output):
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: jsonify(image=output, all=[output]))
    assert app.test_client().get("/").get_json() == {"image": URL, "all": [URL]}


class Images(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "url", [URL, 'https://x.test/"><script>alert(1)</script>', "https://x.test/' onerror='x"[:24]]
)
def test_a_template_cannot_be_broken_out_of(url):
    output = FileOutput(url, Replicate("t"))
    app = Flask(__name__)
    with app.app_context():
        for quote in ('"', "'"):
            page = render_template_string(
                f"<img src={quote}{{{{ output }}}}{quote}>", output=output
            )
            images = Images()
            images.feed(page)
            assert [tag for tag, _ in images.found] == ["img"]
            assert list(images.found[0][1]) == ["src"]
    assert "<" not in output.__html__()


def test_what_asks_for_numpy_s_plain_form_gets_its_url(output):
    assert output.tolist() == URL


@pytest.mark.parametrize("kind", [Replicate, AsyncReplicate])
def test_a_prediction_s_files_are_given(kind):
    client = kind("r8_secret", base_url="http://127.0.0.1:1")
    made = {
        "images": [URL, "https://x.test/b.png"],
        "text": "none",
        "more": {"mask": "data:image/png;base64,AAAA"},
        "n": None,
    }
    prediction = Prediction._of({"id": "p", "status": "succeeded", "output": made}, client._session)
    files = prediction.files()
    assert [file.url for file in files] == [
        URL,
        "https://x.test/b.png",
        "data:image/png;base64,AAAA",
    ]
    assert all(isinstance(file, FileOutput) for file in files)
    read = files[-1].read()
    assert (asyncio.run(read) if kind is AsyncReplicate else read) == b"\0\0\0"
    assert Prediction._of({"id": "p", "output": URL}, client._session).files() == [files[0]]
    for nothing in (None, "text", [], 5):
        assert Prediction._of({"id": "p", "output": nothing}, client._session).files() == []


def test_it_is_still_a_path():
    assert os.path.splitext(FileOutput("data:text/plain,x", Replicate("t")))[1] == ".txt"
