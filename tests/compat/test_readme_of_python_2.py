"""The examples of the README of replicate 2.0 beta, run against the local server.

An example is unchanged, except that versions have ids of the models here, and that values which
would be printed or sent to a browser are asserted.
"""

import asyncio
from pathlib import Path

import pytest

import replicate_rs as replicate
from replicate_rs import AsyncReplicate, Replicate
from replicate_rs.exceptions import ModelError
from support import readmes
from support.readmes import PNG

service = readmes.service
environment = readmes.environment


def signed(service, id):
    query = service.signed_download(id)
    return {name: query[name] for name in ("owner", "expiry", "signature")}


class TestPython2:
    """The README of replicate 2.0 beta."""

    def test_usage(self, service):
        client = Replicate(bearer_token=service.token)
        account = client.account.get()
        assert account.type in ("user", "organization")
        assert account.username == "acme"

    def test_async_usage(self, service):
        async def main():
            async with AsyncReplicate(bearer_token=service.token) as client:
                account = await client.account.get()
                outputs = await client.run("black-forest-labs/flux-schnell", input={"prompt": "x"})
                return account.username, await outputs[0].aread()

        assert asyncio.run(main()) == ("acme", PNG)

    def test_run(self):
        outputs = replicate.run(
            "black-forest-labs/flux-schnell",
            input={"prompt": "astronaut riding a rocket like a horse"},
        )
        for index, output in enumerate(outputs):
            with open(f"output_{index}.webp", "wb") as file:
                file.write(output.read())
        assert len(list(Path().glob("*.webp"))) == 2
        with pytest.raises(ModelError) as caught:
            replicate.run("stability-ai/stable-diffusion-3", input={"prompt": "x"}, prefer="wait=5")
        assert caught.value.prediction.status == "failed"
        with pytest.raises(TypeError, match="prefer and wait"):
            replicate.run("stability-ai/sdxl", input={"prompt": "x"}, wait=5, prefer="wait")

    def test_pagination(self, service):
        replicate.predictions.create(model="replicate/hello-world", input={"text": "x"}).wait()
        client = Replicate()
        all_models = list(client.models.list().auto())
        assert len(all_models) > 26
        first_page = client.models.list()
        assert first_page.has_next_page()
        next_page = first_page.get_next_page()
        assert [*first_page, *next_page] == all_models[: len(first_page) + len(next_page)]

        async def main():
            async with AsyncReplicate() as client:
                first_page = await client.models.list()
                next_page = await first_page.async_get_next_page()
                return [each async for each in first_page.auto()], next_page

        assert asyncio.run(main()) == (all_models, next_page)

    def test_nested_parameters(self, service):
        client = Replicate()
        prediction = client.predictions.create(
            version=service.version("replicate/hello-world"),
            input={"text": "Alice"},
            prefer="wait=5",
        )
        assert prediction.output == "hello Alice"
        assert client.predictions.wait(prediction.id).to_dict()["id"] == prediction.id

    def test_file_uploads(self):
        Path("file.txt").write_text("content")
        client = Replicate()
        file = client.files.create(
            content=Path("file.txt"), metadata={"a": 1}, type="text/x-readme"
        )
        assert (file.name, file.size, file.content_type) == ("file.txt", 7, "text/x-readme")
        assert client.files.get(file_id=file.id) == file
        assert file in client.files.list().results

    def test_download(self, service):
        client = Replicate()
        file = client.files.create(content=b"content", filename="x.bin")
        assert client.files.download(file_id=file.id, **signed(service, file.id)) == b"content"
        assert (
            asyncio.run(client.files.async_download(file.id, **signed(service, file.id)))
            == b"content"
        )
        with pytest.raises(replicate.NotFoundError):
            client.files.download(file_id=file.id, owner="acme", expiry=1, signature="x")

    def test_handling_errors(self, service):
        client = Replicate(bearer_token="wrong")
        with pytest.raises(replicate.APIStatusError) as e:
            client.account.get()
        assert isinstance(e.value, replicate.AuthenticationError)
        assert not isinstance(e.value, (replicate.APIConnectionError, replicate.RateLimitError))
        assert e.value.status_code == 401
        with pytest.raises(replicate.APIConnectionError):
            Replicate(base_url="http://127.0.0.1:9", max_retries=0).account.get()

    def test_retries_and_timeouts(self, service):
        httpx = pytest.importorskip("httpx")
        client = Replicate(max_retries=0)
        service.fault("GET /account", times=2, status=503)
        with pytest.raises(replicate.InternalServerError):
            client.account.get()
        assert client.with_options(max_retries=5).account.get().username == "acme"
        client = Replicate(timeout=httpx.Timeout(60.0, read=5.0, write=10.0, connect=2.0))
        assert client.account.get().username == "acme"
        service.fault("GET /account", times=1, delay=3)
        with pytest.raises(replicate.APITimeoutError):
            client.with_options(timeout=0.2, max_retries=0).account.get()

    def test_the_module_s_settings(self, service):
        before = replicate.default_client
        replicate.bearer_token = "wrong"
        replicate.max_retries = 0
        try:
            with pytest.raises(replicate.AuthenticationError):
                replicate.account.get()
            replicate.bearer_token = service.token
            replicate.default_headers = {"X-Mine": "1"}
            assert replicate.account.get().username == "acme"
            assert service.requests[-1].headers["x-mine"] == "1"
            assert replicate.default_client is before
        finally:
            replicate.bearer_token = replicate.max_retries = replicate.default_headers = None

    def test_undocumented_endpoints(self, service):
        client = Replicate()
        assert client.request("/account").json()["username"] == "acme"
        client.account.get(extra_headers={"X-Foo": "bar"}, extra_query={"my_query": "1"})
        assert service.requests[-1].headers["x-foo"] == "bar"

    def test_managing_http_resources(self):
        with Replicate() as client:
            client.account.get()
        assert client.is_closed

    def test_keyword_spellings(self, service):
        client = Replicate()
        created = client.models.create(
            hardware="cpu", name="two", owner="acme", visibility="private"
        )
        changed = client.models.update(model_owner="acme", model_name="two", description="changed")
        assert changed.description == "changed"
        assert client.models.get(model_owner="acme", model_name="two") == changed
        assert client.models.delete(model_owner="acme", model_name="two")
        assert created.owner == "acme"
        assert client.models.search(body="tiny model").results
        assert client.search(query="sdxl").models
        assert client.collections.get(collection_slug="text-to-image").slug == "text-to-image"
        prediction = client.models.predictions.create(
            model_owner="kvfrans", model_name="clipdraw", input={"prompt": "x"}
        )
        assert client.predictions.cancel(prediction_id=prediction.id).status == "canceled"
