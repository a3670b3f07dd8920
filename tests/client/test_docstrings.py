"""Docstrings of public operations and functions: the API page, every argument, and the errors."""

import inspect
import re

import pytest

import replicate_rs as replicate
from replicate_rs._base.operation import ResourceMethod
from replicate_rs._base.resource import Resource

# Operations that are no endpoint: several requests in a row, or any request.
WITHOUT_PAGE = {
    *("BaseClient.wait", "BaseClient.request", "BaseClient.stream"),
    *("BaseClient.text_stream", "BaseClient.relay"),
    *("Prediction.wait", "Prediction.stream", "Prediction.output_iterator", "Training.wait"),
}


def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def operations():
    """Return every operation's function by its path."""
    for name in replicate.__all__:
        getattr(replicate, name)
    return {
        f"{kind.__name__}.{name}": method.function
        for kind in subclasses(Resource)
        for name, method in vars(kind).items()
        # The clients show the methods of their base; the `async_` twins have the same functions.
        if issubclass(type(method), ResourceMethod)
        and not name.startswith(("_", "async_"))
        and kind.__name__ not in ("Replicate", "AsyncReplicate")
        and kind.__module__.startswith("replicate_rs.")
        and not kind.__module__.startswith("replicate_rs.drop_in")
    }


OPERATIONS = operations()
# Files come from any host.
FILES = "replicate_rs._files."
FUNCTIONS = [
    name
    for name in replicate.__all__
    if inspect.isfunction(value := getattr(replicate, name)) and value.__module__ != "replicate_rs"
]


def undocumented(function, skipped=0):
    text = inspect.getdoc(function)
    parameters = [*inspect.signature(function).parameters.values()][skipped:]
    return [
        each.name
        for each in parameters
        if each.kind is not each.VAR_KEYWORD
        and not re.search(rf"^    {each.name}: ", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("path", sorted(OPERATIONS))
def test_an_operation_has_its_page_its_arguments_and_its_errors(path):
    function = OPERATIONS[path]
    text = inspect.getdoc(function)
    assert undocumented(function, skipped=1) == []
    is_endpoint = path not in WITHOUT_PAGE and not function.__module__.startswith(FILES)
    assert not is_endpoint or "https://replicate.com/docs/" in text
    assert "Raises:" in text or not [*inspect.signature(function).parameters][2:]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_its_arguments(name):
    function = getattr(replicate, name)
    # The async twin of a function refers to it.
    assert undocumented(function) == [] or re.search(r"see `\w+`", inspect.getdoc(function))


def test_all_operations_are_checked():
    assert len(OPERATIONS) > 50
    assert len(FUNCTIONS) > 8
