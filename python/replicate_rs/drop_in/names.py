"""Names that 1.0.7's modules have and this package's do not, and where to find them."""

from __future__ import annotations

_ENCODE = {"encode_json": "helpers", "async_encode_json": "helpers"}
_RESOURCE = {"Resource": "resource"}
_PAGE = {"Page": "pagination"}
_STRATEGY = {"FileEncodingStrategy": "drop_in.legacy"}

# By module: each name, and the module that it comes from; after a colon, its name there.
REEXPORTED: dict[str, dict[str, str]] = {
    "account": _RESOURCE
    | dict.fromkeys(("get", "async_get", "current", "async_current"), "default_client"),
    "client": {
        "Accounts": "account",
        "Collections": "collection",
        "Deployments": "deployment",
        "Files": "file",
        "Hardware": "hardware:HardwareNamespace",
        "Models": "model",
        "Predictions": "prediction",
        "ReplicateError": "exceptions",
        "RetryTransport": "drop_in._retry_transport",
        "Trainings": "training",
        "Webhooks": "webhook",
        "_get_api_token_from_environment": "drop_in.legacy",
        "async_run": "run",
        "async_stream": "stream",
        "run": "run:run",
        "stream": "stream:stream",
    },
    "collection": _RESOURCE | _PAGE,
    "deployment": _RESOURCE | _PAGE | _ENCODE,
    "file": _RESOURCE | _STRATEGY,
    "hardware": _RESOURCE,
    "model": _RESOURCE | _PAGE | _ENCODE | {"ModelVersionIdentifier": "identifier"},
    "prediction": _RESOURCE
    | _PAGE
    | _ENCODE
    | _STRATEGY
    | {
        "CreatePredictionRequestParams": "drop_in.legacy",
        "EventSource": "drop_in.legacy",
        "ModelError": "exceptions",
        "Version": "version",
    },
    "run": {
        "identifier": "identifier",
        "ModelError": "exceptions",
        "transform_output": "helpers",
        "Model": "model",
        "make_schema_backwards_compatible": "schema",
        "Version": "version",
        "Versions": "version",
    },
    "stream": {
        "EventSource": "drop_in.legacy",
        "ReplicateError": "exceptions",
        "identifier": "identifier",
        "transform_output": "helpers",
    },
    "training": _RESOURCE
    | _PAGE
    | _ENCODE
    | {"ModelVersionIdentifier": "identifier", "Model": "model", "Version": "version"},
    "version": _RESOURCE | _PAGE,
    "webhook": _RESOURCE,
}

# Unused attributes of 1.0.7's classes: by module, the class and the names in `legacy`.
MEMBERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "deployment": ("Deployments", ("CreateDeploymentParams", "UpdateDeploymentParams")),
    "file": ("Files", ("CreateFileParams",)),
    "model": ("Models", ("CreateModelParams", "model")),
    "prediction": ("Predictions", ("CreatePredictionParams",)),
    "training": ("Trainings", ("CreateTrainingParams",)),
}
