"""No public name and no keyword is lost, and new names are listed."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

import replicate_rs
from support import pickled, public_names

NAMES = {}
for _line in (Path(__file__).parent / "public_names.txt").read_text().splitlines():
    _path, _, _keywords = _line.rstrip(")").partition("(")
    NAMES[_path] = _keywords.split()

# Arguments with which a call gets as far as to look at its options; () for all others.
ARGUMENTS = {
    "collections.get": ("loud",),
    "deployments.create": ("d", "acme/x", "v1", "cpu", 0, 1),
    "deployments.delete": ("acme", "d"),
    "deployments.get": ("acme", "d"),
    "deployments.predictions.create": ("acme/d", {}),
    "deployments.update": ("acme", "d"),
    "files.create": (b"abc",),
    "files.delete": ("f1",),
    "files.download": ("f1",),
    "files.get": ("f1",),
    "models.create": ("acme", "x"),
    "models.delete": ("acme", "x"),
    "models.examples.list": ("acme", "x"),
    "models.get": ("acme", "x"),
    "models.predictions.create": ("acme/x", {}),
    "models.readme.get": ("acme", "x"),
    "models.search": ("x",),
    "models.update": ("acme", "x"),
    "models.versions.delete": ("acme", "x", "v1"),
    "models.versions.get": ("acme", "x", "v1"),
    "models.versions.list": ("acme", "x"),
    "predictions.cancel": ("p1",),
    "predictions.create": ("v1", {}),
    "predictions.get": ("p1",),
    "predictions.stream": ("p1",),
    "predictions.wait": ("p1",),
    "relay": ("acme/x", {}),
    "request": ("GET", "/account"),
    "run": ("acme/x", {}),
    "search": ("x",),
    "stream": ("acme/x", {}),
    "text_stream": ("acme/x", {}),
    "trainings.cancel": ("t1",),
    "trainings.create": ("acme/x:v1", {}, "acme/y"),
    "trainings.get": ("t1",),
}
OPTIONS = {
    "files.download": {"expiry": 1, "owner": "acme", "signature": "x"},
    "models.create": {"hardware": "cpu", "visibility": "public"},
}


class Sent(Exception):
    """A call has got as far as its request."""


def client(*, is_async=False):
    def fetch(_request, _send):
        raise Sent

    async def async_fetch(_request, _send):
        raise Sent

    return pickled.client(is_async=is_async, fetch=async_fetch if is_async else fetch)


def find(path):
    """Return what is at a path, and where it was found."""
    if path.startswith("client."):
        found, *names = client(), *path.split(".")[1:]
    else:
        found, names = replicate_rs, path.split(".")[1:]
        # Some functions have the name of their module.
        while len(names) > 1 and (module := module_at(found, names[0])):
            found, names = module, names[1:]
    for name in names:
        found = getattr(found, name) if hasattr(found, name) else module_at(found, name)
    return found


def module_at(package, name):
    path = f"{package.__name__}.{name}"
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        return None


OWN = {path: keywords for path, keywords in NAMES.items() if not path.startswith("replicate.")}


@pytest.mark.parametrize("path", OWN)
def test_a_public_name_is_here(path):
    *owner, name = path.split(".")
    if len(owner) > 1 and inspect.isclass(kind := find(".".join(owner))):
        # What instances have may be an annotation of the class only.
        assert any(name in public_names.names_in(each) for each in kind.__mro__)
    else:
        find(path)


def test_no_public_name_is_new():
    found = {line.partition("(")[0] for line in public_names.lines()}
    assert found - set(NAMES) == set(), "new: tests/compat/public_names.txt lists what is public"
    assert {path for path in NAMES if path.startswith("replicate.")} <= found


def called(path, options):
    """Call what is at a path, and return the text of the error."""
    kind, _, name = path.rpartition(".")
    is_async = kind == "replicate_rs.AsyncClient"
    if path.startswith("client."):
        function, name = find(path), path.removeprefix("client.")
    elif kind in ("replicate_rs", "replicate_rs.Client", "replicate_rs.AsyncClient"):
        function = getattr(client(is_async=is_async), name)
    else:
        record = getattr(replicate_rs, kind.rpartition(".")[2])(**pickled.PREDICTION)
        function = getattr(record, name)
    *namespace, name = name.removeprefix("async_").split(".")
    operation = ".".join([*namespace, name.removeprefix("async_")])
    arguments, options = ARGUMENTS.get(operation, ()), {**OPTIONS.get(operation, {}), **options}
    return str(pickled.raised(lambda: drained(function(*arguments, **options))))


def drained(value):
    """Return a call's result, of a stream its items."""
    if hasattr(value, "__anext__"):
        return items(value)
    return list(value) if hasattr(value, "__next__") else value


async def items(stream):
    return [each async for each in stream]


def is_unexpected(text, keyword):
    return keyword in text and ("unexpected keyword" in text or "no option" in text)


BY_NAME = {path: keywords for path, keywords in OWN.items() if keywords and keywords != ["**"]}


@pytest.mark.parametrize("path", BY_NAME)
def test_a_callable_takes_its_keywords(path):
    function = find(path)
    try:
        signature = inspect.signature(function)
    except ValueError:
        # Of an extension's classes, the stub has the signature.
        return
    shown = {
        name
        for name, each in signature.parameters.items()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    mapped = [each for each in BY_NAME[path] if each not in shown]
    if mapped:
        # A call tells what its signature does not show.
        assert is_unexpected(called(path, {"nonsense": 1}), "nonsense")
    assert [each for each in mapped if is_unexpected(called(path, {each: object()}), each)] == []
