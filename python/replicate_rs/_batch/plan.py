"""What a call of `map` asked for, checked."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from .._base.arguments import RULES
from .._base.checks import (
    choice,
    file_path,
    flag,
    integer,
    limit,
    plain_function,
    wrong_type,
    wrong_value,
)
from ..deployment import Deployment
from ..identifier import id_of, owner_and_name, target_of
from .connect import check_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..identifier import Ref
    from .results import Result
    from .types import OnError, OnExit

# Defaults: runs in flight, and the inputs that may be taken for each of them before results are.
CONCURRENCY = 64
AHEAD = 4
MAX_CONCURRENCY = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """What runs the inputs: a model, a version or a deployment."""

    model: str | None = None
    version: str | None = None
    deployment: str | None = None

    @classmethod
    def of(cls, ref: Ref | Deployment[Any] | None, deployment: Any = None) -> Target:
        """Return the target of a reference, or of a deployment.

        Raises:
            TypeError: Neither or both are given, or one is of a wrong type.
            ValueError: The text is not a reference.

        """
        if isinstance(ref, Deployment):
            ref, deployment = None, cast("Deployment[Any]", ref)
        if (ref is None) == (deployment is None):
            raise TypeError("map needs a model, or deployment=, and not both")
        if ref is None:
            owner, name = owner_and_name("deployment", deployment)
            return cls(deployment=f"{owner}/{name}")
        version, model = target_of(ref)
        return cls(model=None if model is None else str(model), version=id_of(version))

    @property
    def name(self) -> str:
        """The name in a journal: ``owner/name``, a version's id, or ``deployment owner/name``."""
        if self.deployment is not None:
            return f"deployment {self.deployment}"
        return self.model or self.version or ""


def make_plan(
    ref: Ref | Deployment[Any] | None,
    deployment: Any,
    concurrency: int | None,
    rate: float | None,
    journal: str | os.PathLike[str] | None,
    save_to: str | os.PathLike[str] | None,
    max_failures: float | None,
    timeout: Any,
    options: Mapping[str, Any],
    choices: Mapping[str, Any],
) -> Plan:
    """Check the arguments of `map`, and return them as a plan.

    Raises:
        TypeError: An argument has the wrong type, or does not exist.
        ValueError: An argument has a value that is not allowed.

    """
    for name, value in options.items():
        # Options of creates are checked by the rules of operations.
        if name in RULES and value is not None:
            RULES[name][1](name, value)
    if options.get("wait") is not None and options.get("prefer") is not None:
        raise TypeError("cannot mix and match prefer and wait: give one")
    if choices["retry_if"] is not None:
        plain_function("retry_if", choices["retry_if"])
    if choices["progress"] is not None and not isinstance(choices["progress"], bool):
        plain_function("progress", choices["progress"])
    for name in ("ordered", "retry_failed"):
        flag(name, choices[name])
    choice("return", "raise")("on_error", choices["on_error"])
    if choices["on_exit"] is not None:
        choice("leave", "cancel")("on_exit", choices["on_exit"])
    if choices["use_file_output"] is not None:
        flag("use_file_output", choices["use_file_output"])
    if choices["on_exit"] == "leave" and journal is None:
        raise ValueError("on_exit='leave' needs a journal, which says what to collect later")
    return Plan(
        target=Target.of(ref, deployment),
        journal=None if journal is None else _journal(journal),
        save_to=None if save_to is None else _path("save_to", save_to),
        concurrency=CONCURRENCY
        if concurrency is None
        else integer("concurrency", concurrency, 1, MAX_CONCURRENCY),
        rate=None if rate is None else _positive("rate", rate),
        max_failures=None if max_failures is None else _failures(max_failures),
        timeout=limit("timeout", timeout),
        options={name: value for name, value in options.items() if value is not None},
        retries=integer("retries", choices["retries"]),
        **{name: value for name, value in choices.items() if name != "retries"},
    )


def _path(name: str, value: Any) -> str:
    path: str = os.fspath(cast("str | os.PathLike[str]", file_path(name, value)))
    if not path:
        # SQLite would keep an unnamed journal until the end only.
        raise wrong_value(name, "a path", value)
    return path


def _journal(value: Any) -> str:
    journal = _path("journal", value)
    check_journal(journal)
    return journal


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(name, "a number", value)
    if not 0 < value < float("inf"):
        raise wrong_value(name, "a number above 0", value)
    return value


def _failures(value: Any) -> float:
    if isinstance(value, float):
        if not 0 <= value < 1:
            raise wrong_value("max_failures", "a number of inputs, or a share below 1.0", value)
        return value
    return integer("max_failures", value)


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of one call of `map`."""

    target: Target
    journal: str | None = None
    save_to: str | None = None
    concurrency: int = CONCURRENCY
    rate: float | None = None
    ordered: bool = False
    on_error: OnError = "return"
    on_exit: OnExit | None = None
    retries: int = 0
    retry_if: Callable[[Result], bool] | None = None
    retry_failed: bool = False
    max_failures: float | None = None
    timeout: float | None = None
    progress: bool | Callable[[Any], object] | None = None
    use_file_output: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, "Any"])

    @property
    def cancels(self) -> bool:
        """Whether what runs is cancelled when the caller leaves."""
        return self.on_exit == "cancel" or (self.on_exit is None and self.journal is None)
