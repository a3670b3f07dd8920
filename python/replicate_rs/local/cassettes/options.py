"""The arguments of `LocalReplicate` that are about cassettes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..addresses import parse_public_url
from ..state import State
from .player import Player
from .reading import read_cassette
from .recorder import Recorder
from .redaction import Redactor
from .urls import UrlMap
from .writing import CassetteWriter

UPSTREAM = "https://api.replicate.com"

Folder = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Recording:
    """Requests are passed on to an upstream and recorded."""

    folder: Path
    upstream: str
    redact: tuple[str, ...]

    def __str__(self) -> str:
        return f"records {self.upstream} in {self.folder}, with the token of each request"

    def open(self, state: State) -> Recorder:
        """Return a recorder for a server that starts. Raises `CassetteError`."""
        writer = CassetteWriter(self.folder, self.upstream, self.redact)
        return Recorder(state, writer, UrlMap(self.upstream), Redactor(self.redact))


@dataclass(frozen=True, slots=True)
class Replaying:
    """Requests are answered from a cassette."""

    folder: Path
    at_once: bool

    def __str__(self) -> str:
        return f"replays {self.folder}"

    def open(self, state: State) -> Player:
        """Return a player for a server that starts. Raises `CassetteError`."""
        return Player(state, read_cassette(self.folder), at_once=self.at_once)


def parse_options(
    record: Folder | None,
    replay: Folder | None,
    upstream: str | None,
    redact: Sequence[str],
    *,
    at_once: bool,
) -> Recording | Replaying | None:
    """Return what a server does with cassettes; None: nothing.

    Raises:
        TypeError: `redact` is not a list of names.
        ValueError: The arguments contradict each other, or `upstream` is not a URL.

    """
    if record is not None and replay is not None:
        raise ValueError("record and replay are two modes: give one of them")
    if record is None and (upstream is not None or redact):
        raise ValueError(f"{'redact' if upstream is None else 'upstream'} is for record=")
    if replay is None and at_once:
        raise ValueError("at_once is for replay=")
    if isinstance(redact, str) or not all(isinstance(each, str) for each in redact):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise TypeError("redact must be a list of names")
    if replay is not None:
        return Replaying(Path(replay), at_once)
    if record is None:
        return None
    parsed = parse_public_url("upstream", upstream)
    return Recording(Path(record), UPSTREAM if parsed is None else parsed, tuple(redact))
