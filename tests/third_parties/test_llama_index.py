"""llama-index-llms-replicate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.llms.replicate import Replicate
from replicate.exceptions import ModelError


def test_complete(server):
    response = Replicate(model="acme/llama", temperature=0.25).complete("to be or not")
    assert response.text == "to be or not "
    (create,) = server.created
    assert json.loads(create.body)["input"] == {
        "prompt": "to be or not",
        "temperature": 0.25,
        "max_length": 3900,
    }
    assert server.cancelled == []


def test_stream_complete(server):
    parts = list(Replicate(model="acme/llama").stream_complete("to be or not"))
    assert "".join(part.delta for part in parts) == parts[-1].text == "to be or not "
    assert [part.delta for part in parts if part.delta] == ["to ", "be ", "or ", "not "]
    assert len(server.created) == 1


def test_a_version(server):
    assert (
        Replicate(model=f"acme/llama:{server.version('acme/llama')}").complete("to be").text
        == "to be "
    )


def test_chat(server):
    llm = Replicate(model="acme/llama", is_chat_model=True)
    messages = [
        ChatMessage(role=MessageRole.SYSTEM, content="Be brief."),
        ChatMessage(role=MessageRole.USER, content="to be?"),
    ]
    # llama-index joins the messages; the last line of the prompt is for the answer.
    assert llm.chat(messages).message.content == "assistant: "
    assert "".join(part.delta for part in llm.stream_chat(messages)) == "assistant: "
    assert [
        "user: to be?" in json.loads(each.body)["input"]["prompt"] for each in server.created
    ] == [True, True]


def test_async(server):
    async def main():
        llm = Replicate(model="acme/llama")
        text = (await llm.acomplete("to be")).text
        return text, "".join([part.delta async for part in await llm.astream_complete("or not")])

    assert asyncio.run(main()) == ("to be ", "or not ")
    assert len(server.created) == 2


def test_a_file(server, tmp_path):
    picture = tmp_path / "cat.png"
    picture.write_bytes(bytes(range(256)) * 4)

    @server.model("acme/llava", stream=True)
    def llava(
        prompt: str, image: bytes, temperature: float = 0.5, max_length: int = 100
    ) -> Iterator[str]:
        yield f"{prompt} {len(image)} "
        yield f"{sum(image)}"

    assert (
        Replicate(model="acme/llava", image=str(picture)).complete("size:").text
        == f"size: 1024 {4 * sum(range(256))}"
    )


def test_a_stream_that_is_left_cancels_its_prediction(server):
    stream = Replicate(model="acme/talker").stream_complete("la")
    assert next(stream).text == "la "
    stream.close()
    del stream
    assert len(server.created) == len(server.cancelled) == 1


def test_a_model_that_fails(server):
    @server.model("acme/fails", stream=True)
    def fails(prompt: str, temperature: float, max_length: int) -> Iterator[str]:
        yield "half"
        raise RuntimeError("out of memory")

    with pytest.raises(ModelError, match="out of memory"):
        Replicate(model="acme/fails").complete("to be")
    assert len(server.created) == 1
