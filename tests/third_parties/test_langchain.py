"""langchain-community's Replicate."""

from __future__ import annotations

import asyncio
import copy
import json

import pytest
from langchain_community.llms.replicate import Replicate
from langchain_core.prompts import PromptTemplate


def test_invoke(server):
    assert Replicate(model="acme/llama").invoke("to be or not") == "to be or not "
    assert [json.loads(each.body)["input"] for each in server.created] == [
        {"prompt": "to be or not"}
    ]


def test_invoke_a_version_with_inputs(server):
    llm = Replicate(
        model=f"acme/llama:{server.version('acme/llama')}", model_kwargs={"temperature": 0.25}
    )
    assert llm.invoke("to be", top_p=0.5) == "to be "
    (create,) = server.created
    assert create.path == "/v1/predictions"
    assert json.loads(create.body)["input"] == {
        "prompt": "to be",
        "temperature": 0.25,
        "top_p": 0.5,
    }


def test_a_model_that_returns_one_text(server):
    assert Replicate(model="acme/shout").invoke("hello") == "HELLO"


def test_stream(server):
    assert "".join(Replicate(model="acme/llama").stream("to be or not")) == "to be or not "
    assert len(server.created) == 1
    assert server.cancelled == []


def test_a_stream_is_not_buffered(server):
    stream = Replicate(model="acme/talker").stream("la", stop=["never"])
    assert next(stream).startswith("la ")
    assert next(stream)
    stream.close()
    assert len(server.created) == 1


def test_ainvoke_and_astream(server):
    async def main():
        llm = Replicate(model="acme/llama")
        text = await llm.ainvoke("to be")
        parts = [part async for part in llm.astream("or not")]
        both = await llm.abatch(["that is", "the question"])
        return text, "".join(parts), both

    assert asyncio.run(main()) == ("to be ", "or not ", ["that is ", "the question "])
    assert len(server.created) == 4


def test_batch_in_threads(server):
    prompts = [f"prompt {number}" for number in range(8)]
    assert Replicate(model="acme/llama").batch(prompts) == [f"{prompt} " for prompt in prompts]
    assert len(server.created) == len(prompts)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_stop_sequence_ends_it(server, streaming):
    llm = Replicate(model="acme/llama", streaming=streaming, stop=["or"])
    assert llm.invoke("to be or not") == "to be "


def test_a_stop_sequence_cancels_the_prediction(server):
    llm = Replicate(model="acme/talker", streaming=True)
    assert llm.invoke("la", stop=["la la la"]) in {"", "la ", "la la "}
    assert len(server.created) == len(server.cancelled) == 1


def test_a_model_that_fails(server):
    with pytest.raises(RuntimeError, match="^out of memory$"):
        Replicate(model="acme/broken").invoke("hello")
    assert len(server.created) == 1


def test_in_a_chain_and_copied(server):
    llm = Replicate(model="acme/llama")
    assert (PromptTemplate.from_template("dear {name}") | llm).invoke(
        {"name": "Ann"}
    ) == "dear Ann "
    # It stores the model's version, a record of this package.
    assert copy.deepcopy(llm).invoke("to be") == "to be "
    assert llm.model_copy(deep=True).with_config(tags=["copy"]).invoke("or not") == "or not "
    assert len(server.created) == 3
    assert len([each for each in server.requests if each.path == "/v1/models/acme/llama"]) == 1
