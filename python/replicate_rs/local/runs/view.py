"""API objects of predictions and trainings, in the shapes that the service returns."""

from __future__ import annotations

from typing import Any, Literal

from ..addresses import Origins
from ..settings import Shape
from .prediction import StoredPrediction

# The values of keys that are not set yet; each shape leaves out all other unset keys.
_UNSET: dict[Shape, dict[str, Any]] = {
    "documented": {"output": None, "logs": ""},
    "edge": {"logs": ""},
    "web": {"output": None, "logs": None, "metrics": {}, "started_at": None, "completed_at": None},
}


def to_json(
    prediction: StoredPrediction, shape: Shape, origins: Origins, own: Origins
) -> dict[str, Any]:
    """Return the API's object for a prediction or training.

    Args:
        prediction: The prediction or training.
        shape: `documented`: as in the OpenAPI document. `edge`: without unset keys, as recorded
            from creates and reads shortly after. `web`: with nulls, as recorded from cancels and
            lists.
        origins: The origins for its URLs.
        own: The origins in the stored URLs of its output files.

    """
    data = dict(prediction.data)
    if prediction.file_ids and origins != own:
        data["output"] = origins.rewrite_urls(data["output"], own)
    data["urls"] = _urls(prediction, shape, origins)
    if shape == "web":
        data = _UNSET[shape] | {"webhook_completed": None} | data
        return dict(sorted((data | {"logs": data["logs"] or None}).items()))
    data["data_removed"] = prediction.data_removed
    if data["output"] is None and (
        (shape == "edge" and not prediction.data_removed) or prediction.kind == "trainings"
    ):
        del data["output"]
    return data


def _urls(prediction: StoredPrediction, shape: Shape, origins: Origins) -> dict[str, str]:
    # The recorded `edge` shape of a training has the URLs of a prediction.
    kind = "predictions" if shape == "edge" else prediction.kind
    get = f"{origins.api}/v1/{kind}/{prediction.id}"
    urls = {"get": get, "cancel": f"{get}/cancel", "web": f"{origins.api}/p/{prediction.id}"}
    signature = prediction.version.definition.signature
    if prediction.kind == "predictions":
        if signature.returns_files:
            urls["stream"] = f"{origins.output}/v1/files/local-{prediction.id}"
        elif signature.is_iterator:
            urls["stream"] = f"{origins.output}/v1/streams/{prediction.id}"
    return urls


def as_held(
    data: dict[str, Any], shape: Shape, held: Literal["processing", "succeeded", "empty"]
) -> dict[str, Any]:
    """Return the response to a blocking create, from the object of the ended prediction.

    The service responds before it has stored the end, so that a success is `processing` there.
    """
    if data["status"] != "succeeded" or held == "succeeded":
        return data
    unset = ("started_at", "completed_at", "metrics", *(["output"] if held == "empty" else []))
    return _unset(data, shape, *unset) | {"status": "processing"}


def as_starting(data: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Return the response to a create, which is `starting` whatever has happened since."""
    unset = ("started_at", "completed_at", "metrics", "output", "logs")
    return _unset(data, shape, *unset) | {"status": "starting"}


def _unset(data: dict[str, Any], shape: Shape, *names: str) -> dict[str, Any]:
    unset = _UNSET[shape]
    return {
        name: unset[name] if name in names else value
        for name, value in data.items()
        if name not in names or name in unset
    }
