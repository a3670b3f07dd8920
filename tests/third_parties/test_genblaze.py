"""genblaze-replicate."""

from __future__ import annotations

import asyncio
import json

import pytest
from genblaze_core.exceptions import ProviderError
from genblaze_core.models.enums import Modality, ProviderErrorCode
from genblaze_core.models.step import Step
from genblaze_core.pipeline import Pipeline
from genblaze_core.providers import RetryPolicy, ValidationOutcome
from genblaze_replicate import ReplicateProvider

URL = "https://replicate.delivery/pbxt/one/cat.png"


@pytest.fixture
def provider(server):
    # genblaze accepts https URLs only, which files of the local server do not have.
    @server.model("acme/files")
    def files(prompt: str, seed: int = 0) -> list[str]:
        return [URL, URL.replace("png", "webp")]

    return ReplicateProvider(poll_interval=0.05, retry_policy=RetryPolicy(max_attempts=1))


def step(model, **fields):
    return Step(
        provider="replicate", model=model, modality=Modality.IMAGE, **({"prompt": "a cat"} | fields)
    )


def test_a_step(server, provider):
    done = provider.invoke(step("acme/files", seed=7))
    assert done.status == "succeeded", done.error
    assert [(asset.url, asset.media_type) for asset in done.assets] == [
        (URL, "image/png"),
        (URL[:-3] + "webp", "image/webp"),
    ]
    (create,) = server.created
    assert json.loads(create.body) == {
        "version": server.version("acme/files"),
        "input": {"prompt": "a cat", "seed": 7},
    }
    payload = done.provider_payload["replicate"]
    assert payload["status"] == "succeeded"
    assert payload["model"] == "acme/files"
    assert payload["version"] == server.version("acme/files")


def test_a_pipeline(server, provider):
    pipeline = Pipeline("cats").step(
        provider, model="acme/files", prompt="a cat", modality=Modality.IMAGE
    )
    result = pipeline.run(raise_on_failure=True)
    assert [asset.url for asset in result.run.steps[0].assets][:1] == [URL]
    assert len(server.created) == 1


def test_async(server, provider):
    async def main():
        return await asyncio.gather(
            *(provider.ainvoke(step("acme/files", prompt=str(number))) for number in range(4))
        )

    assert [done.status for done in asyncio.run(main())] == ["succeeded"] * 4
    assert sorted(json.loads(each.body)["input"]["prompt"] for each in server.created) == [
        "0",
        "1",
        "2",
        "3",
    ]


def test_models(server, provider):
    assert provider.validate_model("acme/files").outcome is ValidationOutcome.OK_AUTHORITATIVE
    assert "acme/files" in provider.discover_models().slugs
    assert provider.validate_model("acme/nothing").outcome is not ValidationOutcome.OK_AUTHORITATIVE
    assert server.created == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (
            {"status": 401, "body": '{"title": "Unauthenticated", "status": 401}'},
            ProviderErrorCode.AUTH_FAILURE,
        ),
        ({"retry_after": 600.0}, ProviderErrorCode.RATE_LIMIT),
        ({"status": 500}, ProviderErrorCode.SERVER_ERROR),
    ],
)
def test_errors(server, provider, fault, code):
    server.fault("POST /v1/predictions", **fault)
    with pytest.raises(ProviderError) as raised:
        provider.submit(step("acme/files"))
    assert raised.value.error_code is code
    assert server.created == []


def test_a_model_that_fails(server, provider):
    done = provider.invoke(step("acme/broken"))
    assert (done.status, done.error, done.assets) == ("failed", "out of memory", [])
    assert len(server.created) == 1
