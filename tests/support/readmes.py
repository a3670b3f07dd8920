"""Models and a server for the examples of the official clients' READMEs."""

import base64
from collections.abc import Iterator

import pytest

import replicate_rs as replicate
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
    # More models than a page has.
    **{f"acme/model-{number}": hello for number in range(26)},
}


@pytest.fixture(scope="module")
def service():
    server = LocalReplicate(token="r8_readme", username="acme")
    for name, function in MODELS.items():
        server.model(name, stream=function is llama)(function)
    server.training("stability-ai/sdxl")(train)
    server.collection("text-to-image", ["stability-ai/sdxl"], description="Images of a prompt")
    with server:
        yield server


@pytest.fixture(autouse=True)
def environment(service, monkeypatch, tmp_path):
    monkeypatch.setenv("REPLICATE_API_TOKEN", service.token)
    monkeypatch.setenv("REPLICATE_BASE_URL", service.base_url)
    monkeypatch.setenv("REPLICATE_POLL_INTERVAL", "0.02")
    monkeypatch.chdir(tmp_path)
    # Creates the default client anew, in the environment of this test.
    replicate.bearer_token = None
    yield
    replicate.bearer_token = None
