"""Names that modules of 1.0.7 have imported from each other, and the modules that they come from."""

from __future__ import annotations

_ENCODE = {"encode_json": "helpers", "async_encode_json": "helpers"}
_RESOURCE = {"Resource": "resource"}
_PAGE = {"Page": "pagination"}

REEXPORTED: dict[str, dict[str, str]] = {
    "account": _RESOURCE,
    "collection": _RESOURCE | _PAGE,
    "deployment": _RESOURCE | _PAGE | _ENCODE,
    "file": _RESOURCE,
    "hardware": _RESOURCE,
    "model": _RESOURCE | _PAGE | _ENCODE | {"ModelVersionIdentifier": "identifier"},
    "prediction": _RESOURCE | _PAGE | _ENCODE | {"ModelError": "exceptions", "EventSource": "stream", "Version": "version"},
    "run": {
        "identifier": "identifier",
        "ModelError": "exceptions",
        "transform_output": "helpers",
        "Model": "model",
        "make_schema_backwards_compatible": "schema",
        "Version": "version",
        "Versions": "version",
    },
    "training": _RESOURCE | _PAGE | _ENCODE | {"ModelVersionIdentifier": "identifier", "Model": "model", "Version": "version"},
    "version": _RESOURCE | _PAGE,
    "webhook": _RESOURCE,
}
