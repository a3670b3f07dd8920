"""The types that operations return, with both clients. Checked by mypy and pyright, never run."""

from collections.abc import AsyncGenerator, Generator
from typing import Any, assert_type

from replicate_rs import (
    Account,
    Async,
    AsyncReplicate,
    Collection,
    Deployment,
    File,
    Hardware,
    Model,
    Page,
    Prediction,
    Replicate,
    Response,
    SearchResult,
    Training,
    Version,
    WebhookSigningSecret,
)
from replicate_rs.types import FoundModel


def sync(client: Replicate) -> None:
    assert_type(client.accounts.current(), Account)
    assert_type(client.account.get(), Account)
    assert_type(client.collections.list(), Page[Collection])
    assert_type(client.collections.get("s"), Collection)
    assert_type(client.deployments.list(), Page[Deployment])
    assert_type(client.deployments.create("n", "o/m", "v", "cpu", 0, 1), Deployment)
    deployment = assert_type(client.deployments.get("o/n"), Deployment)
    assert_type(client.deployments.update("o", "n", max_instances=2), Deployment)
    assert_type(client.deployments.delete("o", "n"), bool)
    assert_type(client.deployments.predictions.create("o/n", {}, wait=True), Prediction)
    assert_type(deployment.predictions.create({}, webhook="https://x"), Prediction)
    assert_type(client.files.create(b""), File)
    assert_type(client.files.get("f"), File)
    assert_type(client.files.delete("f"), bool)
    assert_type(client.hardware.list(), list[Hardware])
    models = assert_type(client.models.list(sort_by="model_created_at"), Page[Model])
    assert_type([each.id for each in models.auto()], list[str])
    assert_type(client.models.search("q"), Page[Model])
    model = assert_type(client.models.get("o", "n"), Model)
    assert_type(client.models.create("o", "n", visibility="private", hardware="cpu"), Model)
    assert_type(client.models.update("o/n", readme=""), Model)
    assert_type(client.models.delete("o/n"), bool)
    assert_type(client.models.examples.list("o/n"), Page[Prediction])
    assert_type(client.models.predictions.create("o/n", {}), Prediction)
    assert_type(client.models.readme.get("o/n"), str)
    assert_type(client.models.versions.list("o/n"), Page[Version])
    assert_type(client.models.versions.get("o/n", version_id="v"), Version)
    assert_type(client.models.versions.delete("o", "n", "v"), bool)
    assert_type(model.latest_version, Version | None)
    assert_type(model.versions.list(), Page[Version])
    assert_type(model.reload(), None)
    assert_type(client.predictions.list(created_after="2026-01-01"), Page[Prediction])
    assert_type(client.predictions.wait("p"), Prediction)
    found = assert_type(client.search("q", limit=3), SearchResult)
    assert_type(found.models, list[FoundModel])
    training = assert_type(client.trainings.create("o/n:v", {}, "a/b"), Training)
    assert_type(training.output, dict[str, Any] | None)
    assert_type(training.wait(), None)
    assert_type(client.trainings.list(), Page[Training])
    assert_type(client.trainings.get("t"), Training)
    assert_type(client.trainings.cancel("t"), Training)
    assert_type(client.webhooks.default.secret.get(), WebhookSigningSecret)
    assert_type(client.request("/x", params={"a": 1}), Response)
    assert_type(client.paginate(client.models.list), Generator[Page[Model], None, None])


async def asynchronous(client: AsyncReplicate, old: Replicate) -> None:
    assert_type(await client.accounts.current(), Account[Async])
    assert_type(await client.account.get(), Account[Async])
    assert_type(await client.collections.list(), Page[Collection[Async]])
    assert_type(await client.collections.get("s"), Collection[Async])
    assert_type(await client.deployments.list(), Page[Deployment[Async]])
    assert_type(await client.deployments.create("n", "o/m", "v", "cpu", 0, 1), Deployment[Async])
    deployment = assert_type(await client.deployments.get("o/n"), Deployment[Async])
    assert_type(await client.deployments.update("o", "n", max_instances=2), Deployment[Async])
    assert_type(await client.deployments.delete("o", "n"), bool)
    assert_type(
        await client.deployments.predictions.create("o/n", {}, wait=True), Prediction[Async]
    )
    assert_type(await deployment.predictions.async_create({}), Prediction[Async])
    assert_type(await client.files.create(b""), File[Async])
    assert_type(await client.files.get("f"), File[Async])
    assert_type(await client.files.delete("f"), bool)
    assert_type(await client.hardware.list(), list[Hardware[Async]])
    models = assert_type(await client.models.list(sort_by="model_created_at"), Page[Model[Async]])
    assert_type([each.id async for each in models.auto()], list[str])
    assert_type(await client.models.search("q"), Page[Model[Async]])
    model = assert_type(await client.models.get("o", "n"), Model[Async])
    assert_type(
        await client.models.create("o", "n", visibility="private", hardware="cpu"), Model[Async]
    )
    assert_type(await client.models.update("o/n", readme=""), Model[Async])
    assert_type(await client.models.delete("o/n"), bool)
    assert_type(await client.models.examples.list("o/n"), Page[Prediction[Async]])
    assert_type(await client.models.predictions.create("o/n", {}), Prediction[Async])
    assert_type(await client.models.readme.get("o/n"), str)
    assert_type(await client.models.versions.list("o/n"), Page[Version[Async]])
    assert_type(await client.models.versions.get("o/n", version_id="v"), Version[Async])
    assert_type(await client.models.versions.delete("o", "n", "v"), bool)
    assert_type(await model.versions.async_list(), Page[Version[Async]])
    assert_type(await model.async_reload(), None)
    assert_type(await client.predictions.list(created_after="2026-01-01"), Page[Prediction[Async]])
    assert_type(await client.predictions.wait("p"), Prediction[Async])
    assert_type(await client.search("q", limit=3), SearchResult[Async])
    training = assert_type(await client.trainings.create("o/n:v", {}, "a/b"), Training[Async])
    assert_type(await training.async_wait(), None)
    assert_type(await client.trainings.list(), Page[Training[Async]])
    assert_type(await client.trainings.get("t"), Training[Async])
    assert_type(await client.trainings.cancel("t"), Training[Async])
    assert_type(await client.webhooks.default.secret.get(), WebhookSigningSecret[Async])
    assert_type(await client.request("/x", params={"a": 1}), Response)
    assert_type(client.paginate(client.models.list), AsyncGenerator[Page[Model[Async]], None])
    assert_type(await old.models.async_get("o/n"), Model)
    assert_type(await old.async_search("q"), SearchResult)
    assert_type(old.async_paginate(old.models.async_list), AsyncGenerator[Page[Model], None])
