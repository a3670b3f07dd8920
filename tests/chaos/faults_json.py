"""Faults in response bodies: invalid JSON, and JSON of another form than documented."""

from __future__ import annotations

import json

from chaos.fault import USUAL, Error, Fault, Value
from chaos.server import OUTPUT, good
from support.wire import prediction, reply

NONE = {"max_retries": 0}
NOT_JSON = Error("APIResponseValidationError", "is not JSON")
NOT_OBJECT = Error("APIResponseValidationError", "not an object")
WHOLE = json.dumps(prediction(output=OUTPUT))


def body(
    name: str,
    what: str,
    content,
    *expected,
    operation: str = "get",
    kind: str = "application/json",
    **more,
) -> Fault:
    return Fault(
        f"json-{name}",
        what,
        reply(content, kind=kind),
        expected or NOT_JSON,
        operation,
        options=NONE,
        **more,
    )


def found(**more) -> dict:
    return prediction(**{"output": OUTPUT, **more})


FAULTS = [
    body("html", "a web page as a success", b"<!doctype html><title>Hi</title>", kind="text/html"),
    body("empty", "an empty body", None, Error("APIResponseValidationError", "empty")),
    body(
        "blank", "white space only", b"  \n ", Error("APIResponseValidationError", "not JSON|empty")
    ),
    body("null", "null instead of an object", b"null", NOT_OBJECT),
    body("list", "a list instead of an object", [prediction()], NOT_OBJECT),
    body("number", "a number instead of an object", 7, NOT_OBJECT),
    body("text", "a string instead of an object", "p1", NOT_OBJECT),
    body("half", "truncated JSON with the right length", WHOLE[:-20].encode()),
    body("two", "two objects in a row", (WHOLE + WHOLE).encode()),
    body("trailing-comma", "a trailing comma", WHOLE.replace("}", ",}").encode()),
    body("single-quotes", "single quotes, as Python's repr has them", repr(prediction()).encode()),
    body("deep", "arrays nested 100,000 deep", b"[" * 100_000 + b"]" * 100_000, NOT_JSON),
    body(
        "deep-within",
        "arrays nested 100,000 deep within an object",
        b'{"id": "p1", "output": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ),
    body("bad-utf-8", "bytes that are not UTF-8", b'{"id": "p1", "status": "\xff\xfe"}'),
    body("utf-16", "UTF-16", WHOLE.encode("utf-16")),
    body("bom", "a byte-order mark first", b"\xef\xbb\xbf" + WHOLE.encode(), USUAL, NOT_JSON),
    body(
        "lone-surrogate",
        "a lone surrogate",
        b'{"id": "p1", "status": "succeeded", "output": "\\ud800"}',
        NOT_JSON,
        Value(["p1", "succeeded", "\ud800"]),
        Value(["p1", "succeeded", "\ufffd"]),
    ),
    body("nul", "a NUL in a string", found(output="a\0b"), Value(["p1", "succeeded", "a\0b"])),
    body(
        "duplicate-keys",
        "duplicate keys",
        b'{"id": "p0", "id": "p1", "status": "starting", "status": "succeeded", "output": "whole"}',
        USUAL,
    ),
    body("nan", "NaN", b'{"id": "p1", "status": "succeeded", "output": NaN}', NOT_JSON),
    body(
        "large-number",
        "a number of 5,000 digits",
        b'{"id": "p1", "status": "succeeded", "output": %s}' % (b"9" * 5000),
        NOT_JSON,
    ),
    body(
        "large-exponent",
        "the number 1e999",
        b'{"id": "p1", "status": "succeeded", "output": 1e999}',
        NOT_JSON,
        Value(["p1", "succeeded", float("inf")]),
    ),
    body(
        "proto",
        "keys with a meaning in other languages, such as __proto__",
        {**found(), "__proto__": {"id": "p2"}, "__class__": "x", "_session": 1, "dict": 2},
        USUAL,
    ),
    body(
        "many-keys",
        "10,000 unknown fields",
        {**found(), **{f"k{n}": n for n in range(10_000)}},
        USUAL,
    ),
    body(
        "null-fields",
        "null in every field but id and status",
        {**dict.fromkeys(prediction()), "id": "p1", "status": "succeeded"},
        Value(["p1", "succeeded", None]),
    ),
    body(
        "few-fields",
        "only an id, a status and an output",
        {"id": "p1", "status": "succeeded", "output": OUTPUT},
        USUAL,
    ),
    body(
        "missing-id",
        "a prediction without an id",
        {"status": "succeeded", "output": OUTPUT},
        Error("APIResponseValidationError", "id"),
    ),
    body(
        "null-id",
        "a prediction whose id is null",
        found(id=None),
        Error("APIResponseValidationError", "id"),
    ),
    body(
        "number-id",
        "a prediction whose id is a number",
        found(id=7),
        Error("APIResponseValidationError", "id"),
        Value([7, "succeeded", OUTPUT]),
    ),
    body(
        "unknown-status",
        "an unknown status",
        found(status="queued"),
        Value(["p1", "queued", OUTPUT]),
    ),
    body(
        "page-of-nulls",
        "a page with null as its entry",
        {"results": [None], "next": None},
        Error("APIResponseValidationError", "results|null|object"),
        operation="list",
    ),
    body(
        "page-without-results",
        "a page without results",
        {"next": None},
        Error("APIResponseValidationError", "results|page"),
        operation="list",
    ),
    body(
        "page-of-text",
        "a page with a string as its results",
        {"results": "p1", "next": None},
        Error("APIResponseValidationError", "results|list|page"),
        operation="list",
    ),
    body(
        "page-next-number",
        "a page with a number as its next",
        {"results": [found()], "next": 7},
        Value(["p1"]),
        Error("APIResponseValidationError", "next"),
        operation="list",
    ),
    Fault(
        "page-elsewhere",
        "a next page at another origin",
        lambda stage, seen: reply(
            {
                "results": [found(id="p2" if "cursor" in seen.path else "p1")],
                "next": None
                if "cursor" in seen.path
                else f"{stage.other.base_url}/predictions?cursor=1",
            }
        ),
        operation="pages",
        check=lambda stage: not stage.other.seen,
        options=NONE,
    ),
    Fault(
        "page-to-a-file",
        "a next page with a file: URL",
        lambda stage, seen: reply(
            {
                "results": [found(id="p2" if "cursor" in seen.path else "p1")],
                "next": None if "cursor" in seen.path else "file:///etc/passwd?cursor=1",
            }
        ),
        (USUAL, Error("ReplicateException", "next|cursor")),
        "pages",
        options=NONE,
    ),
    Fault(
        "json-null-status",
        "a prediction whose status is null",
        good(status=None),
        (Value(["p1", None, OUTPUT]), Error("APIResponseValidationError", "status")),
        options=NONE,
    ),
]
