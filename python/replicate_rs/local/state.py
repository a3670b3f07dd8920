"""What the server remembers.

All of it belongs to the server's own thread, but for registering models.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from .addresses import Addresses, Origins
from .broadcast import Broadcast
from .clock import Clock, text
from .files import LIFETIME, Stored
from .models.model import Definition, Model, Version, parts
from .request_log import LoggedRequest
from .runs.prediction import Change, Kind, Run, view
from .runs.webhooks import Webhooks
from .settings import Settings

_FILE = re.compile(r"/(pbxt|v1/files)/([^/?#]+)")


@dataclass(kw_only=True, slots=True)
class Collection:
    """Models that belong together."""

    slug: str
    name: str
    description: str
    models: list[str]

    def item(self) -> dict[str, Any]:
        """Give the API's object, as lists have it."""
        return {"name": self.name, "slug": self.slug, "description": self.description}


@dataclass(kw_only=True, slots=True)
class Deployment:
    """A model kept ready under a name."""

    owner: str
    name: str
    number: int
    model: Model
    version: Version
    hardware: str
    min_instances: int
    max_instances: int
    released: float
    # When a prediction was last created.
    used: float = float("-inf")

    def describe(self, account: dict[str, Any]) -> dict[str, Any]:
        """Give the API's object."""
        return {
            "owner": self.owner,
            "name": self.name,
            "current_release": {
                "number": self.number,
                "model": self.model.full_name,
                "version": self.version.id,
                "created_at": text(self.released),
                "created_by": account,
                "configuration": {
                    "hardware": self.hardware,
                    "min_instances": self.min_instances,
                    "max_instances": self.max_instances,
                },
            },
        }


@dataclass
class State:
    """The world of one server, from its start to its stop."""

    settings: Settings
    username: str
    tokens: Sequence[str]
    clock: Clock = field(default_factory=Clock)
    addresses: Addresses = field(default=Addresses(Origins("", "")))
    stopping: bool = False
    models: dict[str, Model] = field(default_factory=dict[str, Model])
    trainers: dict[str, Definition] = field(default_factory=dict[str, Definition])
    collections: dict[str, Collection] = field(default_factory=dict[str, Collection])
    deployments: dict[str, Deployment] = field(default_factory=dict[str, Deployment])
    runs: dict[str, Run] = field(default_factory=dict[str, Run])
    uploads: dict[str, Stored] = field(default_factory=dict[str, Stored])
    outputs: dict[str, Stored] = field(default_factory=dict[str, Stored])
    requests: deque[LoggedRequest] = field(
        default_factory=lambda: deque[LoggedRequest](maxlen=10_000)
    )
    changes: Broadcast = field(default_factory=Broadcast)
    files_signing_secret: str = field(
        default_factory=lambda: b64encode(secrets.token_bytes(24)).decode()
    )
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="replicate-local-")))

    def __post_init__(self) -> None:
        self.webhooks: Webhooks = Webhooks(
            self.clock, lambda: self.settings.webhook_copies, self.changes
        )
        self._numbers = count()

    @property
    def account(self) -> dict[str, Any]:
        """The account that every token belongs to."""
        return {
            "type": "user",
            "username": self.username,
            "name": "Local Replicate",
            "github_url": f"https://github.com/{self.username}",
            "avatar_url": f"{self.origin}/avatar.svg",
        }

    @property
    def api(self) -> str:
        """Where the API is, with `/v1`, for who asks now."""
        return f"{self.origin}/v1"

    @property
    def delivery(self) -> str:
        """The origin of output files and streams, for who asks now."""
        return self.addresses.here.output

    @property
    def origin(self) -> str:
        """The API's origin, which is the web page's too, for who asks now."""
        return self.addresses.here.api

    def register(self, definition: Definition) -> Model:
        """Add a function as a model, or as a further version of one."""
        owner, name = parts(definition.name)
        now = self.clock.time()
        model = self.models.setdefault(definition.name, Model(owner=owner, name=name, created=now))
        model.description = (definition.function.__doc__ or "").strip().partition("\n")[
            0
        ] or model.description
        model.visibility, model.hardware = definition.visibility, definition.hardware
        model.readme = definition.readme or model.readme
        version = Version(id=definition.id, created=now, definition=definition)
        model.versions = [each for each in model.versions if each.id != version.id] + [version]
        if definition.examples:
            model.examples = [
                partial(self._view_example, run)
                for run in self._examples(model, version, definition)
            ]
        return model

    def _examples(self, model: Model, version: Version, definition: Definition) -> Iterator[Run]:
        for each in definition.examples:
            now = self.clock.time()
            run = Run(
                "predictions",
                -1,
                model,
                version,
                now,
                each.get("input", {}),
                lambda _run, _change: None,
            )
            run.start(now)
            run.succeed(now, each.get("output"))
            run.data["output"] = each.get("output")
            yield run

    def _view_example(self, run: Run) -> dict[str, Any]:
        return view(run, "documented", self.addresses.here, self.addresses.own)

    def add_run(self, kind: Kind, model: Model, version: Version, given: dict[str, Any]) -> Run:
        """Remember a new prediction or training."""
        run = Run(kind, next(self._numbers), model, version, self.clock.time(), given, self._tell)
        run.made_at = self.addresses.here
        self.runs[run.id] = run
        model.run_count += 1
        return run

    def view(self, run: Run, origins: Origins | None = None) -> dict[str, Any]:
        """Return the API's object for a prediction or training, for who asks now or at other
        origins.
        """
        return view(run, self.settings.shape, origins or self.addresses.here, self.addresses.own)

    def output(self, run: Run) -> Any:
        """Return the output of a prediction or training, for who asks now."""
        return (
            self.addresses.here.located(run.data["output"], self.addresses.own)
            if run.files
            else run.data["output"]
        )

    def _tell(self, run: Run, change: Change) -> None:
        # Who created it knows the server by a name that works.
        self.webhooks.tell(run, change, lambda run: self.view(run, run.made_at))
        self.changes.notify()
        if change == "completed" and run.kind == "predictions":
            # From its end, whether or not its model has noticed.
            self.clock.call_at(
                self.clock.time() + self.settings.retention, lambda: self.forget(run)
            )

    def find_version(self, reference: str) -> tuple[Model, Version] | None:
        """Give what `owner/name`, `owner/name:id` or a bare id names."""
        name, _, id = reference.rpartition(":")
        models = (
            [self.models[name]]
            if name in self.models
            else []
            if name
            else list(self.models.values())
        )
        if reference in self.models:
            return (
                (self.models[reference], self.models[reference].versions[-1])
                if self.models[reference].versions
                else None
            )
        return next(
            (
                (model, version)
                for model in models
                for version in model.versions
                if version.id == id
            ),
            None,
        )

    def live_uploads(self) -> Iterator[Stored]:
        """Give the uploaded files that have not expired."""
        return (
            each
            for each in list(self.uploads.values())
            if self.clock.time() < each.created + LIFETIME
        )

    def upload(self, id: str) -> Stored | None:
        """Give an uploaded file that has not expired."""
        stored = self.uploads.get(id)
        return (
            stored if stored is not None and self.clock.time() < stored.created + LIFETIME else None
        )

    def stored_at(self, url: str) -> Stored | None:
        """Return the file of this server's that a URL leads to, whatever the server is called in
        it.
        """
        # Nobody else has a file with this id.
        match = _FILE.search(url)
        if match is None:
            return None
        return self.outputs.get(match[2]) if match[1] == "pbxt" else self.upload(match[2])

    def forget(self, run: Run) -> None:
        """Remove a prediction's data, and the files it made."""
        for id in run.files:
            stored = self.outputs.pop(id, None)
            if stored is not None:
                stored.path.unlink(missing_ok=True)
        run.remove_data()
        self.changes.notify()

    def stop(self) -> None:
        """End everything that runs, and forget what is on disk."""
        self.stopping = True
        for run in list(self.runs.values()):
            run.cancel(self.clock.time())
        self.changes.notify()

    def close(self) -> None:
        """Forget what is on disk."""
        shutil.rmtree(self.folder, ignore_errors=True)
