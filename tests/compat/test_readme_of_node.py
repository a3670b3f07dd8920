"""The examples of the README of the Node client, in Python, run against the local server."""

import json
from pathlib import Path

import replicate_rs as replicate
from replicate_rs import Replicate
from support import readmes
from support.readmes import PNG
from support.webhooks import Receiver

service = readmes.service
environment = readmes.environment


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
        with Receiver() as receiver:
            replicate.predictions.create(
                version=service.version("stability-ai/sdxl"),
                input={"prompt": "x", "denoising_strength": 0.5},
                webhook=receiver.url,
                webhook_events_filter=["completed"],
            )
            _, headers, body = receiver.received.get(timeout=10)
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
        created = replicate.models.create("acme", "new", visibility="private", hardware="cpu")
        assert created.visibility == "private"
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
        created = replicate.deployments.create(
            name="my-app-image-generator",
            model="stability-ai/sdxl",
            version=version,
            hardware="gpu-t4",
            min_instances=0,
            max_instances=1,
        )
        assert created.current_release.number == 1
        assert created.current_release.configuration.hardware == "gpu-t4"
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
