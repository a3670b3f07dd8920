"""The arguments of `Mapper` as a type."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from os import PathLike
from typing import Any

from .._base.types import Ref
from .._client.types import ClientOptions
from .._predictions.types import PredictionOptions


class MapperArguments(PredictionOptions, total=False):
    """The keyword arguments of `Mapper`, which explains them."""

    deployment: Ref | tuple[str, str] | None
    key: str | None
    files: Collection[str]
    types: Mapping[str, type] | None
    input: Mapping[str, Any] | None
    journal: str | PathLike[str] | None
    save_to: str | PathLike[str] | None
    concurrency: int | None
    rate: float | None
    retries: int
    retry_failed: bool
    max_failures: float | None
    token: Callable[[], str | None] | str | PathLike[str] | None
    client: ClientOptions | None
    names: Mapping[str, str] | None
