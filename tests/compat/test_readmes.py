"""The examples of the three official clients' READMEs, as they are or translated, against models
that stand in for theirs.

What an example of 1.0.7 or 2.0 says stands here as it says it, with these exceptions: ids of
versions are those of the models here, and what would go to the screen or to a web server is looked
at.
"""

import asyncio
import base64
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import replicate_rs as replicate
from replicate_rs import AsyncReplicate, Replicate
from replicate_rs.exceptions import ModelError
from replicate_rs.local import LocalReplicate, sleep

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


def pictures(prompt: str, denoising_strength: float = 0.5) -> list[bytes]:
    return [PNG, PNG]


def known_issue(prompt: str) -> list[bytes]:
    print("(some known issue)")
    raise RuntimeError("out of memory")


def upscaled(image: bytes) -> list[bytes]:
    return [image * 2]


def caption(image: bytes) -> str:
    return f"{len(image)} bytes of an astronaut riding a horse"


def llama(prompt: str) -> Iterator[str]:
    yield from ("Llamas ", "in ", "fog.")


def drawing(prompt: str, seconds: float = 60.0) -> str:
    print("iteration: 0, render:loss: -0.6171875")
    sleep(seconds)
    return "drawn"


def growing(prompts: str) -> Iterator[bytes]:
    for _ in range(3):
        sleep(0.05)
        yield PNG


def hello(text: str) -> str:
    """A tiny model that says hello"""
    return f"hello {text}"


def train(input_images: str, seconds: float = 0.0) -> bytes:
    sleep(seconds)
    return b"weights"


MODELS = {
    "black-forest-labs/flux-schnell": pictures,
    "stability-ai/sdxl": pictures,
    "stability-ai/stable-diffusion": pictures,
    "stability-ai/stable-diffusion-3": known_issue,
    "ai-forever/kandinsky-2.2": pictures,
    "nightmareai/real-esrgan": upscaled,
    "andreasjansson/blip-2": caption,
    "meta/meta-llama-3-70b-instruct": llama,
    "meta/llama-2-70b-chat": llama,
    "kvfrans/clipdraw": drawing,
    "pixray/text2image": growing,
    "replicate/hello-world": hello,
    # More than a page of the API has.
    **{f"acme/model-{number}": hello for number in range(26)},
}


@pytest.fixture(scope="module")
def service():
    server = LocalReplicate(token="r8_readme", username="acme")
    for name, function in MODELS.items():
        server.model(name, stream=function is llama)(function)
    server.training("stability-ai/sdxl")(train)
    server.collection(
        "text-to-image", ["stability-ai/sdxl"], description="Pictures of what is said"
    )
    with server:
        yield server


@pytest.fixture(autouse=True)
def environment(service, monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICATE_API_TOKEN", service.token)
    monkeypatch.setenv("REPLICATE_BASE_URL", service.base_url)
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.02")
    monkeypatch.chdir(tmp_path)
    # Made anew for each test, which has an environment of its own.
    replicate.bearer_token = None
    yield
    replicate.bearer_token = None


@contextmanager
def receiver():
    """A web server that takes webhooks: its URL, and what arrived."""
    received = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.put((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/webhooks/replicate", received
        http.shutdown()
        thread.join()


class TestPython1:
    """The README of replicate 1.0.7."""

    def test_run_a_model(self):
        outputs = replicate.run(
            "black-forest-labs/flux-schnell",
            input={"prompt": "astronaut riding a rocket like a horse"},
        )
        for index, output in enumerate(outputs):
            with open(f"output_{index}.webp", "wb") as file:
                file.write(output.read())
        assert [path.read_bytes() for path in sorted(Path().glob("*.webp"))] == [PNG, PNG]

    def test_a_model_that_fails(self):
        with pytest.raises(ModelError) as e:
            replicate.run(
                "stability-ai/stable-diffusion-3",
                {"prompt": "An astronaut riding a rainbow unicorn"},
            )
        assert "(some known issue)" in e.value.prediction.logs
        assert e.value.prediction.id

    def test_asyncio(self, service):
        async def main():
            model_version = f"stability-ai/sdxl:{service.version('stability-ai/sdxl')}"
            prompts = [
                f"A chariot pulled by a team of {count} rainbow unicorns"
                for count in ["two", "four", "six", "eight"]
            ]
            async with asyncio.TaskGroup() as tg:
                tasks = [
                    tg.create_task(replicate.async_run(model_version, input={"prompt": prompt}))
                    for prompt in prompts
                ]
            return await asyncio.gather(*tasks)

        assert [len(result) for result in asyncio.run(main())] == [2, 2, 2, 2]

    def test_a_file_as_input(self, service):
        Path("mystery.jpg").write_bytes(b"jpeg")
        version = service.version("andreasjansson/blip-2")
        with open("mystery.jpg", "rb") as image:
            output = replicate.run(f"andreasjansson/blip-2:{version}", input={"image": image})
        assert output == "4 bytes of an astronaut riding a horse"

    def test_stream_a_model(self, capsys):
        for event in replicate.stream(
            "meta/meta-llama-3-70b-instruct",
            input={
                "prompt": "Please write a haiku about llamas.",
            },
        ):
            print(str(event), end="")
        assert capsys.readouterr().out == "Llamas in fog."

    def test_stream_a_prediction(self):
        prediction = replicate.predictions.create(
            model="meta/meta-llama-3-70b-instruct",
            input={"prompt": "Please write a haiku about llamas."},
            stream=True,
        )
        assert "".join(str(event) for event in prediction.stream()) == "Llamas in fog."

    def test_stream_asynchronously(self):
        async def main():
            return [
                str(event)
                async for event in await replicate.async_stream(
                    "meta/meta-llama-3-70b-instruct", input={"prompt": "a haiku"}
                )
            ]

        assert "".join(asyncio.run(main())) == "Llamas in fog."

    def test_run_in_the_background(self, service):
        model = replicate.models.get("kvfrans/clipdraw")
        version = model.versions.get(service.version("kvfrans/clipdraw"))
        prediction = replicate.predictions.create(
            version=version,
            input={"prompt": "Watercolor painting of an underwater submarine", "seconds": 0.2},
        )
        assert prediction.status == "starting"
        assert dict(prediction)["status"] == "starting"
        prediction.reload()
        prediction.wait()
        assert prediction.status == "succeeded"
        assert prediction.logs.startswith("iteration: 0, render:loss: -0.6171875")
        assert prediction.output == "drawn"

    def test_run_in_the_background_and_get_a_webhook(self, service):
        with receiver() as (url, received):
            model = replicate.models.get("ai-forever/kandinsky-2.2")
            version = model.versions.get(service.version("ai-forever/kandinsky-2.2"))
            prediction = replicate.predictions.create(
                version=version,
                input={"prompt": "Watercolor painting of an underwater submarine"},
                webhook=url,
                webhook_events_filter=["completed"],
            )
            headers, body = received.get(timeout=10)
        assert json.loads(body)["id"] == prediction.id
        # As its documentation has it: `webhooks.validate`, with the secret of the account.
        secret = replicate.webhooks.default.secret()
        assert (
            replicate.webhooks.validate(headers=headers, body=body.decode(), secret=secret) is None
        )
        assert asyncio.run(replicate.webhooks.default.async_secret()) == secret
        with pytest.raises(
            replicate.webhook.InvalidSignatureError, match="Webhook signature is invalid"
        ):
            replicate.webhooks.validate(headers=headers, body="forged", secret=secret)

    def test_compose_models(self):
        (image, *_) = replicate.run("stability-ai/sdxl", {"prompt": "avocado armchair"})
        (upscaled_image,) = replicate.run("nightmareai/real-esrgan", {"image": image})
        assert upscaled_image.read() == PNG * 2

    def test_get_output_while_a_model_runs(self, service):
        iterator = replicate.run(
            f"pixray/text2image:{service.version('pixray/text2image')}",
            input={"prompts": "san francisco sunset"},
        )
        for index, image in enumerate(iterator):
            with open(f"file_{index}.png", "wb") as file:
                file.write(image.read())
        assert [path.read_bytes() for path in sorted(Path().glob("*.png"))] == [PNG] * 3
        prediction = replicate.models.predictions.create(
            "pixray/text2image", {"prompts": "piece by piece"}
        )
        assert [file.read() for file in prediction.output_iterator()] == [PNG] * 3

    def test_cancel_a_prediction(self, service):
        model = replicate.models.get("kvfrans/clipdraw")
        version = model.versions.get(service.version("kvfrans/clipdraw"))
        prediction = replicate.predictions.create(
            version=version, input={"prompt": "Watercolor painting of an underwater submarine"}
        )
        assert prediction.status == "starting"
        prediction.cancel()
        prediction.reload()
        assert prediction.status == "canceled"

    def test_list_predictions(self):
        for number in range(101):
            replicate.predictions.create(model="replicate/hello-world", input={"text": str(number)})
        page1 = replicate.predictions.list()
        assert page1.next
        page2 = replicate.predictions.list(page1.next)
        assert len(page1.results) == 100
        assert page2.results

    def test_load_output_files(self, service):
        image = pytest.importorskip("PIL.Image")
        version = service.version("stability-ai/stable-diffusion")
        output = replicate.run(
            f"stability-ai/stable-diffusion:{version}",
            input={"prompt": "wavy colorful abstract patterns, oceans"},
        )
        with open("my_output.png", "wb") as file:
            file.write(output[0].read())
        with image.open(output[0]) as background:
            assert background.size == (1, 1)

        output = output[0]
        assert output.url.startswith("http://127.0.0.1")
        with open("streamed.bin", "wb") as file:
            for chunk in output:
                file.write(chunk)

        async def main():
            return await output.aread(), b"".join([chunk async for chunk in output])

        assert asyncio.run(main()) == (PNG, PNG)
        assert Path("my_output.png").read_bytes() == Path("streamed.bin").read_bytes() == PNG

    def test_a_file_as_the_answer_of_a_web_framework(self):
        responses = pytest.importorskip("starlette.responses")
        output = replicate.run(
            "black-forest-labs/flux-schnell", input={"prompt": "x"}, use_file_output=True
        )[0]

        async def main():
            return b"".join(
                [chunk async for chunk in responses.StreamingResponse(output).body_iterator]
            )

        assert asyncio.run(main()) == PNG

    def test_opt_out_of_files(self):
        output = replicate.run(
            "black-forest-labs/flux-schnell", input={"prompt": "x"}, use_file_output=False
        )
        assert [type(each) for each in output] == [str, str]

    def test_list_models(self):
        models = []
        for page in replicate.paginate(replicate.models.list):
            models.extend(page.results)
            if len(models) > 100:
                break
        assert len(models) > 26

        again = []
        page = replicate.models.list()
        while page:
            again.extend(page.results)
            if len(again) > 100:
                break
            page = replicate.models.list(page.next) if page.next else None
        assert again == models

        collections = [
            collection
            for page in replicate.paginate(replicate.collections.list)
            for collection in page
        ]
        assert collections[0].slug == "text-to-image"
        assert collections[0].description == "Pictures of what is said"
        assert [model.name for model in replicate.collections.get("text-to-image").models] == [
            "sdxl"
        ]

    def test_create_a_model_and_train_it(self, service):
        assert "gpu-t4" in [hw.sku for hw in replicate.hardware.list()]
        model = replicate.models.create(
            owner="acme", name="my-model", visibility="public", hardware="gpu-t4"
        )
        assert (model.owner, model.name, model.latest_version) == ("acme", "my-model", None)
        training = replicate.trainings.create(
            model="stability-ai/sdxl",
            version=service.version("stability-ai/sdxl"),
            input={"input_images": "https://my-domain/my-input-images.zip"},
            destination="acme/my-model",
        )
        training.wait()
        assert training.status == "succeeded"
        assert training.destination == "acme/my-model"
        version = service.version("stability-ai/sdxl")
        short = replicate.trainings.create(
            f"stability-ai/sdxl:{version}", {"input_images": "x"}, "acme/my-model"
        )
        long = asyncio.run(
            replicate.trainings.async_create(
                "stability-ai/sdxl", version, {"input_images": "x"}, destination="acme/my-model"
            )
        )
        assert short.input == long.input == {"input_images": "x"}
        for each in (short, long):
            each.wait()

    def test_customize_the_client(self, service):
        client = replicate.Client(api_token=service.token, headers={"User-Agent": "my-app/1.0"})
        assert client.run("replicate/hello-world", {"text": "you"}) == "hello you"
        assert service.requests[-1].headers["user-agent"] == "my-app/1.0"


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
        made = client.models.create(hardware="cpu", name="two", owner="acme", visibility="private")
        changed = client.models.update(model_owner="acme", model_name="two", description="changed")
        assert changed.description == "changed"
        assert client.models.get(model_owner="acme", model_name="two") == changed
        assert client.models.delete(model_owner="acme", model_name="two")
        assert made.owner == "acme"
        assert client.models.search(body="tiny model").results
        assert client.search(query="sdxl").models
        assert client.collections.get(collection_slug="text-to-image").slug == "text-to-image"
        prediction = client.models.predictions.create(
            model_owner="kvfrans", model_name="clipdraw", input={"prompt": "x"}
        )
        assert client.predictions.cancel(prediction_id=prediction.id).status == "canceled"


def signed(service, id):
    query = service.signed_download(id)
    return {name: query[name] for name in ("owner", "expiry", "signature")}


class TestNode:
    """The README of the Node client, translated."""

    def test_create_a_client_and_run_a_model(self, service):
        client = Replicate(auth=service.token)
        model = f"stability-ai/stable-diffusion:{service.version('stability-ai/stable-diffusion')}"
        input = {"prompt": "a 19th century portrait of a raccoon gentleman wearing a suit"}
        output, *_ = client.run(model, input=input)
        assert output.url.startswith("http")
        assert output.read() == PNG

    def test_run_in_the_background(self, service):
        version = service.version("stability-ai/stable-diffusion")
        prediction = replicate.predictions.create(
            version=version, input={"prompt": "painting of a cat by andy warhol"}
        )
        prediction = replicate.predictions.get(prediction.id)
        prediction = replicate.wait(prediction)
        assert prediction.status == "succeeded"
        assert all(each.startswith("http") for each in prediction.output)

    def test_a_file_as_input(self, service):
        Path("image.png").write_bytes(PNG)
        model = f"nightmareai/real-esrgan:{service.version('nightmareai/real-esrgan')}"
        (output,) = replicate.run(model, input={"image": Path("image.png").read_bytes()})
        assert output.read() == PNG * 2

    def test_webhooks(self, service):
        with receiver() as (url, received):
            replicate.predictions.create(
                version=service.version("stability-ai/sdxl"),
                input={"prompt": "x", "denoising_strength": 0.5},
                webhook=url,
                webhook_events_filter=["completed"],
            )
            headers, body = received.get(timeout=10)
        secret = replicate.webhooks.default.secret.get()
        assert replicate.validate_webhook(headers=headers, body=body, secret=secret)
        parts = {name: headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
        assert replicate.validate_webhook(**parts, body=body.decode(), secret=secret.key)
        assert not replicate.validate_webhook(**parts, body="{...}", secret=secret.key)
        assert json.loads(body)["status"] == "succeeded"

    def test_custom_fetch(self, service):
        def custom_fetch(request, send):
            request.headers["X-Custom-Header"] = "some value"
            return send(request)

        client = Replicate(fetch=custom_fetch)
        client.accounts.current()
        assert service.requests[-1].headers["x-custom-header"] == "some value"

    def test_run_with_progress(self, service):
        seen = []

        def on_progress(prediction):
            seen.append((prediction.id, (prediction.logs or "").split("\n").pop()))

        model = f"stability-ai/sdxl:{service.version('stability-ai/sdxl')}"
        output = replicate.run(model, {"prompt": "a portrait"}, on_progress)
        assert len(output) == 2
        assert seen
        options = {"mode": "poll", "interval": 0.02}
        assert len(replicate.run(model, {"prompt": "a portrait"}, on_progress, wait=options)) == 2

    def test_stream(self):
        events = replicate.stream(
            "meta/llama-2-70b-chat",
            input={"prompt": "Write a poem about machine learning in the style of Mary Oliver."},
        )
        output = [event.data for event in events if event.event == "output"]
        assert "".join(output).strip() == "Llamas in fog."

    def test_models(self, service):
        model = replicate.models.get("replicate", "hello-world")
        assert model.url.endswith("replicate/hello-world")
        assert model.description == "A tiny model that says hello"
        assert replicate.models.list().results
        assert replicate.models.search("tiny model").results
        made = replicate.models.create("acme", "new", visibility="private", hardware="cpu")
        assert made.visibility == "private"
        versions = replicate.models.versions.list("replicate", "hello-world")
        version = replicate.models.versions.get("replicate", "hello-world", versions.results[0].id)
        assert version.id == service.version("replicate/hello-world")
        assert {"name": "CPU", "sku": "cpu"} in [
            hardware.dict() for hardware in replicate.hardware.list()
        ]

    def test_predictions(self):
        prediction = replicate.predictions.create(model="kvfrans/clipdraw", input={"prompt": "x"})
        assert replicate.predictions.get(prediction.id).input == {"prompt": "x"}
        assert replicate.predictions.cancel(prediction.id).status == "canceled"
        assert replicate.predictions.list().results[0].id == prediction.id
        assert set(prediction.urls) >= {"get", "cancel"}

    def test_trainings(self, service):
        replicate.models.create("acme", "trained", visibility="private", hardware="cpu")
        training = replicate.trainings.create(
            "stability-ai",
            "sdxl",
            service.version("stability-ai/sdxl"),
            destination="acme/trained",
            input={"input_images": "https://x", "seconds": 30},
        )
        assert replicate.trainings.get(training.id).id == training.id
        assert replicate.trainings.cancel(training.id).status == "canceled"
        assert training.id in [each.id for each in replicate.trainings.list().results]

    def test_deployments(self, service):
        version = service.version("stability-ai/sdxl")
        made = replicate.deployments.create(
            name="my-app-image-generator",
            model="stability-ai/sdxl",
            version=version,
            hardware="gpu-t4",
            min_instances=0,
            max_instances=1,
        )
        assert made.current_release.number == 1
        assert made.current_release.configuration.hardware == "gpu-t4"
        changed = replicate.deployments.update("acme", "my-app-image-generator", max_instances=3)
        assert (
            changed.current_release.number,
            changed.current_release.configuration.max_instances,
        ) == (2, 3)
        assert changed in replicate.deployments.list().results
        assert replicate.deployments.get(name="acme/my-app-image-generator") == changed
        prediction = replicate.deployments.predictions.create(
            "acme/my-app-image-generator", {"prompt": "x"}, wait=True
        )
        assert len(prediction.output) == 2

    def test_files(self):
        file = replicate.files.create(
            b"...", filename="photo.webp", metadata={"customer_reference_id": "123"}
        )
        assert (file.name, file.content_type, file.metadata) == (
            "photo.webp",
            "image/webp",
            {"customer_reference_id": "123"},
        )
        assert file in replicate.files.list().results
        assert replicate.files.get(file.id) == file
        assert replicate.files.delete(file.id) is True

    def test_paginate_and_request(self):
        pages = list(replicate.default_client.paginate(replicate.models.list))
        assert len(pages) > 1
        paginator = replicate.paginate(replicate.models.list)
        assert (next(paginator), next(paginator)) == (pages[0], pages[1])
        response = replicate.request("/models", params={"sort_direction": "asc"})
        assert response.status == 200
        assert response.json()["results"]
