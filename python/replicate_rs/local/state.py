"""The state of a running server: models, predictions, files, deployments, webhooks.

For the server's thread only, except that models may be registered from any thread before it starts.
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
from pathlib import Path
from typing import Any

from .addresses import Addresses, Origins
from .broadcast import Broadcast
from .clock import Clock
from .files import UPLOAD_LIFETIME, StoredFile
from .models.collection import Collection
from .models.deployment import Deployment
from .models.model import Definition, Model, Version, split_name
from .request_log import LoggedRequest
from .runs.prediction import Change, Kind, StoredPrediction
from .runs.view import to_json
from .runs.webhooks import Webhooks
from .settings import Settings

_FILE_PATH = re.compile(r"/(pbxt|v1/files)/([^/?#]+)")


@dataclass
class State:
    """All that a server stores from its start to its stop."""

    settings: Settings
    username: str
    tokens: Sequence[str]
    clock: Clock = field(default_factory=Clock)
    addresses: Addresses = field(default=Addresses(Origins("", "")))
    is_stopping: bool = False
    models: dict[str, Model] = field(default_factory=dict[str, Model])
    trainings: dict[str, Definition] = field(default_factory=dict[str, Definition])
    collections: dict[str, Collection] = field(default_factory=dict[str, Collection])
    deployments: dict[str, Deployment] = field(default_factory=dict[str, Deployment])
    # Predictions and trainings, by id, in the order of creation.
    predictions: dict[str, StoredPrediction] = field(default_factory=dict[str, StoredPrediction])
    uploads: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])
    outputs: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])
    requests: deque[LoggedRequest] = field(
        default_factory=lambda: deque[LoggedRequest](maxlen=10_000)
    )
    # Notified of every change that the web page shows.
    changes: Broadcast = field(default_factory=Broadcast)
    files_signing_secret: str = field(
        default_factory=lambda: b64encode(secrets.token_bytes(24)).decode()
    )
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="replicate-local-")))

    def __post_init__(self) -> None:
        self.webhooks: Webhooks = Webhooks(
            self.clock, lambda: self.settings.webhook_copies, self.changes
        )

    @property
    def account(self) -> dict[str, Any]:
        """The API's object for the account that all tokens belong to."""
        return {
            "type": "user",
            "username": self.username,
            "name": "Local Replicate",
            "github_url": f"https://github.com/{self.username}",
            "avatar_url": f"{self.origin}/avatar.svg",
        }

    @property
    def origin(self) -> str:
        """The origin of the API and the web page, for the current request."""
        return self.addresses.current.api

    @property
    def api_url(self) -> str:
        """The API's URL with `/v1`, for the current request."""
        return f"{self.origin}/v1"

    @property
    def output_origin(self) -> str:
        """The origin of output files and streams, for the current request."""
        return self.addresses.current.output

    def register(self, definition: Definition) -> Model:
        """Add a model, or a version to a model of that name."""
        owner, name = split_name(definition.name)
        now = self.clock.time()
        model = self.models.setdefault(
            definition.name, Model(owner=owner, name=name, created_at=now)
        )
        summary = (definition.function.__doc__ or "").strip().partition("\n")[0]
        model.description = summary or model.description
        model.visibility, model.hardware = definition.visibility, definition.hardware
        model.readme = definition.readme or model.readme
        version = Version(id=definition.version_id, created_at=now, definition=definition)
        model.versions = [each for each in model.versions if each.id != version.id] + [version]
        if definition.examples:
            model.examples = [
                partial(self._example_to_json, prediction)
                for prediction in self._examples(model, version, definition)
            ]
        return model

    def _examples(
        self, model: Model, version: Version, definition: Definition
    ) -> Iterator[StoredPrediction]:
        for example in definition.examples:
            now = self.clock.time()
            prediction = StoredPrediction(
                "predictions",
                model,
                version,
                now,
                example.get("input", {}),
                lambda _prediction, _change: None,
            )
            prediction.start(now)
            prediction.succeed(now, example.get("output"))
            prediction.data["output"] = example.get("output")
            yield prediction

    def _example_to_json(self, prediction: StoredPrediction) -> dict[str, Any]:
        return to_json(prediction, "documented", self.addresses.current, self.addresses.own)

    def add_prediction(
        self, kind: Kind, model: Model, version: Version, input: dict[str, Any]
    ) -> StoredPrediction:
        """Store a new prediction or training."""
        prediction = StoredPrediction(
            kind, model, version, self.clock.time(), input, self._on_change
        )
        prediction.created_via = self.addresses.current
        self.predictions[prediction.id] = prediction
        model.run_count += 1
        return prediction

    def to_json(
        self, prediction: StoredPrediction, origins: Origins | None = None
    ) -> dict[str, Any]:
        """Return the API's object for a prediction or training.

        Its URLs are for the current request, unless `origins` are passed.
        """
        return to_json(
            prediction,
            self.settings.shape,
            origins or self.addresses.current,
            self.addresses.own,
        )

    def output(self, prediction: StoredPrediction) -> Any:
        """Return the output of a prediction or training, with URLs for the current request."""
        output = prediction.data["output"]
        if not prediction.file_ids:
            return output
        return self.addresses.current.rewrite_urls(output, self.addresses.own)

    def _on_change(self, prediction: StoredPrediction, change: Change) -> None:
        # A webhook's URLs have the host name by which the prediction's creator reaches the server.
        self.webhooks.on_change(
            prediction, change, lambda each: self.to_json(each, each.created_via)
        )
        self.changes.notify()
        if change == "completed" and prediction.kind == "predictions":
            self.clock.call_at(
                self.clock.time() + self.settings.retention, lambda: self.remove_data(prediction)
            )

    def find_version(self, reference: str) -> tuple[Model, Version] | None:
        """Return the version for `owner/name`, `owner/name:id` or an id."""
        if reference in self.models:
            model = self.models[reference]
            return (model, model.versions[-1]) if model.versions else None
        name, _, id = reference.rpartition(":")
        if name:
            models = [self.models[name]] if name in self.models else []
        else:
            models = list(self.models.values())
        return next(
            (
                (model, version)
                for model in models
                for version in model.versions
                if version.id == id
            ),
            None,
        )

    def live_uploads(self) -> list[StoredFile]:
        """Return the uploaded files that have not expired."""
        return [each for each in self.uploads.values() if self._is_live(each)]

    def find_upload(self, id: str) -> StoredFile | None:
        """Return an uploaded file, unless it has expired."""
        file = self.uploads.get(id)
        return file if file is not None and self._is_live(file) else None

    def _is_live(self, upload: StoredFile) -> bool:
        return self.clock.time() < upload.created_at + UPLOAD_LIFETIME

    def find_file(self, url: str) -> StoredFile | None:
        """Return the file of this server that a URL refers to, by whichever host name."""
        # The id is random: no other server has a file with it.
        match = _FILE_PATH.search(url)
        if match is None:
            return None
        return self.outputs.get(match[2]) if match[1] == "pbxt" else self.find_upload(match[2])

    def remove_data(self, prediction: StoredPrediction) -> None:
        """Remove a prediction's data and its output files."""
        for id in prediction.file_ids:
            file = self.outputs.pop(id, None)
            if file is not None:
                file.path.unlink(missing_ok=True)
        prediction.remove_data()
        self.changes.notify()

    def stop(self) -> None:
        """Cancel all predictions and trainings."""
        self.is_stopping = True
        for prediction in list(self.predictions.values()):
            prediction.cancel(self.clock.time())
        self.changes.notify()

    def close(self) -> None:
        """Delete all files."""
        shutil.rmtree(self.folder, ignore_errors=True)
