"""agno's ReplicateTools."""

from __future__ import annotations

import io
import json

import pytest
from agno.tools.function import FunctionCall
from agno.tools.replicate import ReplicateTools
from PIL import Image


@pytest.fixture
def call(server):
    """Return a function that calls the tool as an agent does."""

    def call(model, **arguments):
        tools = ReplicateTools(api_key="r8_third", model=model)
        function = tools.functions["generate_media"]
        function.process_entrypoint()
        done = FunctionCall(function=function, arguments={"agent": None, **arguments}).execute()
        assert done.status == "success", done.error
        return done.result

    return call


def test_a_picture(server, call):
    result = call("acme/painter", prompt="red")
    (image,) = result.images
    assert result.content == f"Image generated successfully at {image.url}"
    assert Image.open(io.BytesIO(image.get_content_bytes())).getpixel((0, 0)) == (255, 0, 0)
    assert [json.loads(each.body)["input"] for each in server.created] == [{"prompt": "red"}]


def test_several_pictures(server, call):
    result = call("acme/album", prompt="red lime blue")
    pictures = [
        Image.open(io.BytesIO(each.get_content_bytes())).getpixel((0, 0)) for each in result.images
    ]
    assert pictures == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert len(result.content.splitlines()) == 3
    assert len(server.created) == 1


def test_an_output_that_is_not_a_file(server, call):
    assert call("acme/shout", prompt="red").content == "Unexpected output type: <class 'str'>"


def test_a_model_that_fails(server, call):
    result = call("acme/broken", prompt="red")
    assert result.images is None
    assert "out of memory" in result.content
    assert len(server.created) == 1
