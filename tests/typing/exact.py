"""The exact types of the public API. Checked by mypy and pyright, never run."""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any, assert_type

import httpx
import starlette.datastructures
import starlette.requests

from replicate_rs import (
    AbortController,
    AbortSignal,
    Async,
    AsyncReplicate,
    FileOutput,
    Model,
    ModelError,
    Page,
    Prediction,
    Replicate,
    SeenWebhooks,
    ServerSentEvent,
    Sync,
    Timeout,
    Training,
    Version,
    WebhookValidationError,
    WebhookVerifier,
    avalidate_webhook,
    get_path_url,
    parse_progress_from_logs,
    save_all,
    sign_webhook,
    use,
    validate_webhook,
)
from replicate_rs.deployment import Release
from replicate_rs.file import File, FilePage
from replicate_rs.stream import AsyncStream, EventDecoder, EventType, Relay, Stream
from replicate_rs.types import Progress
from replicate_rs.use import (
    AsyncFunction,
    AsyncOutputIterator,
    AsyncRun,
    Function,
    OutputIterator,
    Run,
)
from replicate_rs.webhook import WebhookSigningSecret


async def awaited_webhook(
    secret: WebhookSigningSecret, request: starlette.requests.Request
) -> None:
    assert_type(await avalidate_webhook(request, secret), bool)


def webhooks(
    secret: WebhookSigningSecret, headers: dict[str, str], pairs: list[tuple[bytes, bytes]]
) -> None:
    validate_webhook(headers=pairs, body=bytearray(), secret=[secret, "s"], tolerance=None)
    validate_webhook(id="x", timestamp="1", signature="v1,", body="", secret=secret)
    validate_webhook(httpx.Request("POST", "http://x"), secret)
    validate_webhook({"type": "http", "headers": pairs}, secret, 60, body=b"")
    verifier = WebhookVerifier([secret, "s"], tolerance=60, seen=SeenWebhooks(5))
    assert_type(verifier.verify(headers, b""), None)
    assert_type(verifier.unwrap(starlette.datastructures.Headers(), b""), Prediction | Training)
    assert_type(verifier.unwrap(httpx.Headers(), b""), Prediction | Training)
    assert_type(
        verifier.verify_many([(headers, b""), (headers, "")]), list[WebhookValidationError | None]
    )
    assert_type(sign_webhook(secret, "x", 5, b""), str)


def sync(client: Replicate, output: FileOutput) -> None:
    one = assert_type(client.predictions.get("x"), Prediction)
    assert_type(client.predictions.get(id="x", timeout=5), Prediction)
    assert_type(client.predictions.create("v", {"a": 1}), Prediction)
    assert_type(client.predictions.create(model="o/n", input={}, wait=True), Prediction)
    assert_type(client.predictions.list(), Page[Prediction])
    assert_type(client.predictions.cancel("x", signal=AbortController().signal), Prediction)
    assert_type(client.wait(one, interval=1, timeout=5), Prediction)
    assert_type(client.stream("o/n", input={}), Stream[ServerSentEvent, Prediction])
    assert_type(client.stream("o/n").prediction, Prediction | None)
    assert_type([event.data for event in client.predictions.stream("x")], list[str | FileOutput])
    assert_type(one.stream(cancel_on_exit=True), Stream[ServerSentEvent, Prediction])
    assert_type(one.async_stream(), AsyncStream[ServerSentEvent, Prediction])
    assert_type(client.text_stream("o/n", {}, timeout=5), Stream[str, Prediction])
    assert_type(client.text_stream("o/n").collect(), str)
    assert_type(client.async_text_stream("o/n"), AsyncStream[str, Prediction])
    with client.stream("o/n") as events:
        assert_type(next(events).event, EventType)
    assert_type(list(client.relay("o/n")), list[bytes])
    assert_type(EventDecoder(max_bytes=5).feed(b""), list[ServerSentEvent])
    assert_type([each.id for each in client.predictions.list()], list[str])
    assert_type(client.files.create(Path("x"), metadata={"a": 1}), File)
    assert_type(client.files.delete("x"), bool)
    assert_type(client.webhooks.default.secret.get(), WebhookSigningSecret)
    assert_type(client.webhooks.default.secret(), WebhookSigningSecret)
    assert_type(one.progress, Progress | None)
    assert_type(one.output, Any)
    assert_type(parse_progress_from_logs(one), Progress | None)
    assert_type(validate_webhook(secret="s", body=b"", headers={}), bool)
    assert_type(client.webhooks.default.secret.get(cached=True), WebhookSigningSecret)
    assert_type(output.read(), bytes)
    assert_type(output.save("x"), Path)
    assert_type(list(output), list[bytes])
    client.run(
        "o/n",
        input={},
        wait={"mode": "poll", "interval": 0.5},
        progress=lambda prediction: print(prediction.status),
    )
    client.run("o/n", progress=True, upload_progress=True)
    assert_type(client.wait(one, progress=True), Prediction)
    assert_type(client.files.create("x", progress=True), File)
    assert_type(output.save("x", progress=lambda received, size: print(received, size)), Path)
    assert_type(save_all(output, "x", progress=True), list[Path])
    with client as same:
        assert_type(same, Replicate)


def flux(prompt: str, *, seed: int = 0) -> FileOutput:
    """A model."""
    raise NotImplementedError


def claude(prompt: str) -> str:
    """A model that streams text."""
    raise NotImplementedError


def functions(client: Replicate, aclient: AsyncReplicate) -> None:
    assert_type(client.use("acme/x")(prompt="p", other=1), Any)
    assert_type(client.use("acme/x", hint=flux)(prompt="p", seed=1), FileOutput)
    assert_type(client.use("acme/x", hint=flux).create(prompt="p"), Run[FileOutput])
    assert_type(client.use("acme/x", hint=flux).create(prompt="p").output(), FileOutput)
    assert_type(client.use("acme/x").create().logs(), str | None)
    assert_type(client.use("acme/x", streaming=True), Function[..., OutputIterator[Any]])
    assert_type(client.use("acme/x", hint=claude, streaming=True)(prompt="p"), OutputIterator[str])
    assert_type(
        list(client.use("acme/x", hint=claude, streaming=True).create(prompt="p").output()),
        list[str],
    )
    assert_type(aclient.use("acme/x"), AsyncFunction[..., Any])
    assert_type(use("acme/x", hint=flux)(prompt="p"), FileOutput)
    assert_type(use("acme/x", use_async=True), AsyncFunction[..., Any])
    assert_type(get_path_url(flux("p")), str | None)
    use("acme/x", hint=flux)(seed="1", prompt="p")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    use("acme/x", hint=flux)()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


async def awaited_functions(client: AsyncReplicate) -> None:
    assert_type(await client.use("acme/x", hint=flux)(prompt="p"), FileOutput)
    assert_type(
        await (await client.use("acme/x", hint=flux).create(prompt="p")).output(), FileOutput
    )
    assert_type(await use("acme/x", hint=claude, use_async=True)(prompt="p"), str)
    iterator = await use("acme/x", hint=claude, streaming=True, use_async=True)(prompt="p")
    assert_type(iterator, AsyncOutputIterator[str])
    assert_type([each async for each in iterator], list[str])
    assert_type(await client.use("acme/x").openapi_schema(), dict[str, Any])


async def asynchronous(client: AsyncReplicate, old: Replicate, output: FileOutput) -> None:
    one = assert_type(await client.predictions.get("x"), Prediction[Async])
    assert_type(await client.predictions.create("v", input={}), Prediction[Async])
    assert_type(await client.predictions.list(), Page[Prediction[Async]])
    assert_type(await client.wait(one), Prediction[Async])
    assert_type(
        client.stream("o/n", input={}), AsyncStream[ServerSentEvent[Async], Prediction[Async]]
    )
    assert_type([event.id async for event in client.stream("o/n")], list[str | None])
    assert_type([event.id async for event in await client.stream("o/n")], list[str | None])
    assert_type(await client.text_stream("o/n").collect(), str)
    async with client.predictions.stream("x") as events:
        assert_type(await anext(events), ServerSentEvent[Async])
    assert_type([event async for event in one.stream()], list[ServerSentEvent[Async]])
    assert_type(await client.relay("o/n"), Relay)
    assert_type(await old.async_relay("o/n"), Relay)
    pair = await asyncio.gather(client.predictions.get("x"), client.predictions.get("y"))
    assert_type(pair, tuple[Prediction[Async], Prediction[Async]])
    async with asyncio.TaskGroup() as group:
        assert_type(
            group.create_task(client.predictions.list()), asyncio.Task[Page[Prediction[Async]]]
        )
    assert_type(await old.predictions.async_get("x"), Prediction)
    later = assert_type(client.predictions.get("x"), Coroutine[Any, Any, Prediction[Async]])
    await later
    assert_type(await client.files.create(b"x"), File[Async])
    assert_type(await client.webhooks.default.secret.get(), WebhookSigningSecret[Async])
    assert_type(await output.aread(), bytes)
    assert_type(await output.asave("x", signal=AbortSignal.timeout(5)), Path)
    assert_type([each async for each in output], list[bytes])
    assert_type(await one.async_wait(), None)
    async with client as same:
        assert_type(same, AsyncReplicate)


def plain_names_mean_what_blocks(
    one: Prediction, output: FileOutput, page: Page[Prediction], event: ServerSentEvent
) -> None:
    assert_type(one, Prediction[Sync])
    assert_type(one.reload(), None)
    assert_type(one.cancel(), None)
    assert_type(one.wait(timeout=5), None)
    assert_type(output, FileOutput[Sync])
    assert_type(output.open(), BufferedReader)
    assert_type(iter(output), Iterator[bytes])
    assert_type(page.get_next_page(), Page[Prediction])
    assert_type(event.data, str | FileOutput)


async def records_of_an_async_client(client: AsyncReplicate) -> None:
    one = await client.predictions.create("v", {})
    assert_type(await one.wait(timeout=5), None)
    assert_type(await one.reload(), None)
    assert_type(await one.cancel(), None)
    assert_type(await one.async_reload(), None)
    assert_type([event.data async for event in one.stream()], list[str | FileOutput[Async]])
    assert_type([each async for each in one.output_iterator()], list[Any])
    assert_type(one.async_stream(), AsyncStream[ServerSentEvent[Async], Prediction[Async]])
    assert_type([event.data async for event in client.stream("o/n")], list[str | FileOutput[Async]])
    assert_type(
        [event.data async for event in client.predictions.stream("x")],
        list[str | FileOutput[Async]],
    )
    page = await client.predictions.list()
    assert_type([each async for each in page], list[Prediction[Async]])
    assert_type([each async for each in await client.models.list()], list[Model[Async]])
    assert_type(list(page), list[Prediction[Async]])
    assert_type(page[0], Prediction[Async])
    assert_type(await page.get_next_page(), Page[Prediction[Async]])
    assert_type(await page.async_get_next_page(), Page[Prediction[Async]])
    files = assert_type(await client.files.list(), FilePage[Async])
    assert_type(await files.get_next_page(), Page[File[Async]])
    model = await client.models.get("o/n")
    assert_type(model.latest_version, Version[Async] | None)
    assert_type(model.default_example, Prediction[Async] | None)
    assert_type(await model.versions.list(), Page[Version[Async]])
    assert_type(await model.versions.get("v"), Version[Async])
    deployment = await client.deployments.get("o/n")
    assert_type(await deployment.predictions.create({}), Prediction[Async])
    assert_type(deployment.current_release, Release[Async] | None)
    assert_type((await client.collections.get("s")).models, list[Model[Async]])
    assert_type((await client.search("q")).models[0].model, Model[Async])
    assert_type(await (await client.trainings.get("t")).wait(), None)
    await client.run("o/n", progress=plain_progress)
    await client.run("o/n", progress=awaited_progress)
    assert_type(await client.wait(one, progress=awaited_progress), Prediction[Async])


def plain_progress(prediction: Prediction) -> None:
    """Annotations without a mode mean the blocking records."""


async def awaited_progress(prediction: Prediction[Async]) -> None:
    await prediction.cancel()


async def files_of_an_async_client(output: FileOutput[Async]) -> None:
    assert_type(await output.read(), bytes)
    assert_type(await output.save("x"), Path)
    assert_type(await output.open(), BufferedReader)
    assert_type(await output.aopen(), BufferedReader)
    assert_type(output.chunks(), AsyncStream[bytes])
    assert_type([each async for each in output], list[bytes])


def runs(
    client: Replicate, aclient: AsyncReplicate, run: AsyncRun[str], output: AsyncOutputIterator[str]
) -> None:
    assert_type(client.use("acme/x").create().prediction, Prediction)
    assert_type(client.use("acme/x", streaming=True)().prediction, Prediction)
    assert_type(run.prediction, Prediction[Async])
    assert_type(output.prediction, Prediction[Async])


async def errors(client: AsyncReplicate) -> None:
    try:
        await client.run("o/n")
    except ModelError as error:
        # The mode is not known; `async_` methods are async in both.
        assert_type(await error.prediction.async_reload(), None)
        assert_type(error.prediction.logs, str | None)
        plain_progress(error.prediction)
        await awaited_progress(error.prediction)


def durations(client: Replicate, running: Prediction, output: FileOutput) -> None:
    second = timedelta(seconds=1)
    Replicate(timeout=second, poll_interval=second)
    Replicate(timeout=Timeout(60, connect=second, read=None))
    client.run("o/n", timeout=second, wait=second, cancel_after=second)
    client.run("o/n", timeout=Timeout(60), wait={"interval": second, "timeout": second})
    client.predictions.create("v", wait=second, timeout=httpx.Timeout(60))
    client.wait(running, interval=second, timeout=second)
    running.wait(timeout=second)
    output.save("x", timeout=Timeout(total=60))
    AbortSignal.timeout(second)
    WebhookVerifier("whsec_x", second)


def ids(
    client: Replicate, running: Prediction, training: Training, version: Version, file: File
) -> None:
    client.predictions.cancel(running)
    client.trainings.get(id=training)
    client.predictions.create(version)
    client.models.versions.get("o", "n", version)
    client.deployments.update("o/n", version=version)
    client.files.delete(file)
