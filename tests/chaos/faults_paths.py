"""Ids and names with special characters: each stays one path segment or is refused."""

from __future__ import annotations

import urllib.parse

from chaos.fault import USUAL, Error, Fault, Value
from chaos.operations import deployment, model
from chaos.server import good
from support.wire import reply

REFUSED = Error("ValueError", "")


def one_segment(*names: str, under: str):
    """Return a check that every request path consists of exactly these segments."""

    def check(stage) -> bool:
        paths = [each.path for each in stage.home.seen]
        return all(
            path.startswith(under)
            and [urllib.parse.unquote(part) for part in path.removeprefix(under).split("/")]
            == list(names)
            for path in paths
        )

    return check


def id_of(name: str, text: str, expected=USUAL) -> Fault:
    return Fault(
        f"id-{name}",
        f"the id {text!r}",
        good(),
        expected,
        "get",
        text,
        check=one_segment(text, under="/v1/predictions/"),
    )


def cancel(name: str, text: str, expected=USUAL) -> Fault:
    return Fault(
        f"cancel-{name}",
        f"a cancel of the id {text!r}",
        good(),
        expected,
        "cancel",
        text,
        check=one_segment(text, "cancel", under="/v1/predictions/"),
    )


def model_of(name: str, owner: str, text: str, expected=USUAL) -> Fault:
    return Fault(
        f"model-{name}",
        f"the model {owner!r}/{text!r}",
        reply(model()),
        expected,
        "model",
        (owner, text),
        check=one_segment(owner, text, under="/v1/models/"),
    )


def ref(name: str, text: str) -> Fault:
    return Fault(
        f"ref-{name}",
        f"a run of {text!r}",
        good(),
        REFUSED,
        "run",
        text,
        posts=0,
        check=lambda stage: not stage.home.seen,
    )


EITHER = (USUAL, REFUSED)
FAULTS = [
    id_of("slash", "../models"),
    id_of("inner-slash", "x/cancel"),
    id_of("dots", "..", REFUSED),
    id_of("dot", ".", REFUSED),
    id_of("encoded-slash", "..%2fmodels"),
    id_of("encoded-dots", "%2e%2e"),
    id_of("query", "x?cursor=1"),
    id_of("fragment", "x#y"),
    id_of("backslash", "..\\models"),
    id_of("semicolon", "x;y=1"),
    id_of("space", "x y"),
    id_of("crlf", "x\r\nX-Evil: 1", EITHER),
    id_of("nul", "x\0y", EITHER),
    id_of("unicode", "x\u2603\u202e"),
    id_of("long", "x" * 20_000),
    id_of("url", "http://example.invalid/x"),
    id_of("surrogate", "\ud800", (USUAL, Error("ValueError", ""))),
    cancel("slash", "../files/f1"),
    cancel("query", "x?"),
    cancel("dots", "..", REFUSED),
    model_of("dots", "..", "predictions", REFUSED),
    model_of("slash", "acme/x", "versions"),
    model_of("query", "acme", "x?y"),
    model_of("crlf", "acme", "x\r\nX-Evil: 1", EITHER),
    model_of("empty", "acme", "", REFUSED),
    ref("dots", "../predictions"),
    ref("three-parts", "acme/x/versions"),
    Fault(
        "ref-query",
        "a run of 'acme/x?y=1'",
        good(),
        (USUAL, REFUSED),
        "run",
        "acme/x?y=1",
        check=one_segment("acme", "x?y=1", "predictions", under="/v1/models/"),
    ),
    ref("crlf", "acme/x\r\nX-Evil: 1"),
    ref("nul", "acme/x\0"),
    ref("url", "https://example.invalid/acme/x"),
    Fault(
        "deployment-dots",
        "the deployment '../x'",
        reply(deployment()),
        REFUSED,
        "deployment",
        "../x",
        check=lambda stage: not stage.home.seen,
    ),
    Fault(
        "collection-slash",
        "the collection '../models'",
        reply({"name": "x", "slug": "x", "description": "", "models": []}),
        Value("x"),
        "collection",
        "../models",
        check=one_segment("../models", under="/v1/collections/"),
    ),
    Fault(
        "delete-slash",
        "a delete of the file '../x'",
        reply(status=204),
        USUAL,
        "delete",
        "../x",
        check=one_segment("../x", under="/v1/files/"),
    ),
]
