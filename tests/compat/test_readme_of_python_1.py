"""The examples of the README of replicate 1.0.7, run against the local server.

An example is unchanged, except that versions have ids of the models here, and that values which
would be printed or sent to a browser are asserted.
"""

import asyncio
import json
from pathlib import Path

import pytest

import replicate_rs as replicate
from replicate_rs.exceptions import ModelError
from support import readmes
from support.readmes import PNG
from support.webhooks import Receiver

service = readmes.service
environment = readmes.environment


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
        with Receiver() as receiver:
            model = replicate.models.get("ai-forever/kandinsky-2.2")
            version = model.versions.get(service.version("ai-forever/kandinsky-2.2"))
            prediction = replicate.predictions.create(
                version=version,
                input={"prompt": "Watercolor painting of an underwater submarine"},
                webhook=receiver.url,
                webhook_events_filter=["completed"],
            )
            _, headers, body = receiver.received.get(timeout=10)
        assert json.loads(body)["id"] == prediction.id
        # `webhooks.validate` of 1.0.7, with the secret of the account.
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
        assert collections[0].description == "Images of a prompt"
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
