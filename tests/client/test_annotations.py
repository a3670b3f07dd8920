"""What the annotations of public functions and classes say to programs that read them."""

import ast
import importlib
import inspect
import pkgutil
import typing
from pathlib import Path

import pydantic
import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import types

PACKAGE = Path(replicate.__file__).parent
# What no program imports.
INTERNAL = {
    "_client.background",
    "_client.deferred",
    "_client.middleware",
    "_files.buffer",
    "_files.content",
    "_files.convert",
    "_files.encode",
    "_files.images",
    "_files.multipart",
    "_files.names",
    "_files.reader",
    "_files.upload",
    "_predictions.events",
    "_predictions.job",
    "_predictions.params",
    "_predictions.polling",
    "_use.inputs",
    "pytest_plugin",
}
# Packages with classes and functions that the package itself exports.
PACKAGES = ("client", "files", "predictions", "use", "webhooks")
# Whose types are for the package itself.
INNER = (
    "_use.output_iterator",
    "_core",
    "_base.transport",
    "_base.operation",
    "_base.resource",
    "_base.streaming",
    "_files.reader",
)
CLIENTS = {"sync": replicate.Replicate("r8_x"), "async": replicate.AsyncReplicate("r8_x")}
FUNCTIONS = [
    *(
        "run",
        "async_run",
        "stream",
        "text_stream",
        "relay",
        "wait",
        "search",
        "request",
        "use",
        "paginate",
        "with_options",
    ),
    *(
        "predictions.create",
        "predictions.async_create",
        "predictions.get",
        "predictions.wait",
        "predictions.stream",
    ),
    *(
        "predictions.list",
        "models.get",
        "models.create",
        "models.search",
        "models.versions.get",
        "models.predictions.create",
    ),
    *(
        "deployments.create",
        "deployments.update",
        "files.create",
        "files.list",
        "trainings.create",
        "hardware.list",
    ),
    *("collections.get", "accounts.current", "webhooks.default.secret.get", "webhooks.validate"),
]
OF_THE_PACKAGE = [
    "validate_webhook",
    "avalidate_webhook",
    "sign_webhook",
    "save_all",
    "asave_all",
    "use",
    "paginate",
    "run",
]


def modules():
    for folder in (PACKAGE, *(PACKAGE / f"_{name}" for name in PACKAGES)):
        for found in pkgutil.iter_modules([str(folder)]):
            name = ".".join([*folder.relative_to(PACKAGE).parts, found.name])
            if not (found.name.startswith("_") or found.ispkg or name in INTERNAL):
                yield importlib.import_module(f"replicate_rs.{name}")


def public():
    """Every public class and function, and every public method, of every module that programs
    import.
    """
    for module in modules():
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(value):
                yield f"{module.__name__}.{name}", value
                for each in dir(value):
                    member = inspect.getattr_static(value, each)
                    if each.startswith("_") and each != "__init__":
                        continue
                    if isinstance(member, property):
                        continue
                    if inspect.isfunction(getattr(value, each)) or inspect.ismethod(
                        getattr(value, each)
                    ):
                        yield f"{module.__name__}.{name}.{each}", getattr(value, each)
            elif inspect.isfunction(value):
                yield f"{module.__name__}.{name}", value


PUBLIC = dict(public())


def at(client, path):
    for part in path.split("."):
        client = getattr(client, part)
    return client


def test_hints_of_everything_public_resolve():
    assert len(PUBLIC) > 400
    for path, value in PUBLIC.items():
        try:
            hints = typing.get_type_hints(value, include_extras=True)
        except Exception as error:
            raise AssertionError(path) from error
        for name, hint in hints.items():
            assert not isinstance(hint, (str, typing.ForwardRef)), (path, name)
        if getattr(value, "__module__", "").startswith("replicate_rs") and not path.endswith(
            "Request.__init__"
        ):
            try:
                signature = inspect.signature(value, eval_str=True)
            except ValueError:
                # Exceptions have the constructor of `Exception`.
                assert inspect.isclass(value)
                continue
            for parameter in signature.parameters.values():
                assert not isinstance(parameter.annotation, str), (path, parameter)


def test_hints_are_what_the_source_says():
    hints = typing.get_type_hints(CLIENTS["sync"].run)
    assert hints["ref"] == types.Ref
    assert hints["options"] == typing.Unpack[types.CreateOptions]
    assert typing.get_type_hints(CLIENTS["sync"].predictions.get)["return"] is replicate.Prediction
    assert typing.get_type_hints(replicate.Prediction)["status"] == types.Status
    assert typing.get_type_hints(CLIENTS["sync"].stream)["return"].__name__ == "Stream"
    assert typing.get_type_hints(CLIENTS["async"].stream)["return"].__name__ == "AsyncStream"
    assert typing.get_type_hints(CLIENTS["sync"].with_options)["return"].__name__ == "Configurable"
    headers = typing.get_type_hints(replicate.validate_webhook)["headers"]
    assert (
        headers
        == types.WebhookHeaders | None
        != typing.get_type_hints(CLIENTS["sync"].request)["headers"]
    )


def test_names_for_type_checkers_are_the_types_that_are_evaluated():
    """The names that a module imports for type checkers only, and those that its annotations are
    evaluated with.
    """
    for module in modules():
        tree = ast.parse(Path(module.__file__).read_text())
        for block in tree.body:
            if not isinstance(block, ast.If) or ast.unparse(block.test) != "TYPE_CHECKING":
                continue
            for node in block.body:
                if isinstance(node, ast.ImportFrom) and node.level:
                    path = "." * node.level + (node.module or "")
                    home = importlib.import_module(path, module.__package__)
                    if home.__name__.removeprefix("replicate_rs.") in INNER:
                        continue
                    for each in node.names:
                        known = types.evaluate(each.asname or each.name, module.__name__, None)
                        assert known == getattr(home, each.name, None) or known == getattr(
                            types, each.name, None
                        ), each.name


def test_the_module_of_types_has_all_that_the_package_defines():
    for name in types.__all__:
        assert getattr(types, name) is not None
        assert name in {*vars(types)}
    assert types.CreateOptions.__optional_keys__ >= {"webhook", "signal", "cancel_after"}
    for name in types.__all__:
        kind = getattr(types, name)
        if inspect.isclass(kind):
            typing.get_type_hints(kind)


def test_types_are_loaded_when_they_are_asked_for():
    done = script("""
        import sys
        import replicate_rs
        client = replicate_rs.Replicate("r8_x")
        client.run, client.predictions.create, client.models.get, client.files.create
        replicate_rs.validate_webhook
        assert not {"replicate_rs.types", "typing"} & sys.modules.keys()
        import inspect
        assert "ref" in inspect.signature(client.run).parameters
        assert "replicate_rs.types" in sys.modules
        """)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", FUNCTIONS)
@pytest.mark.parametrize("kind", CLIENTS)
def test_pydantic_can_validate_calls(kind, path):
    function = at(CLIENTS[kind], path)
    pydantic.validate_call(function)
    # Functions have no JSON, and pydantic has no schema of positional arguments beside named ones.
    if path not in ("use", "paginate", "trainings.create"):
        assert pydantic.TypeAdapter(function).json_schema()["type"] in ("object", "array")


@pytest.mark.parametrize("name", OF_THE_PACKAGE)
def test_pydantic_can_validate_calls_of_functions(name):
    pydantic.validate_call(getattr(replicate, name))


def test_a_validated_call_is_checked_and_made(both, local):
    client = both.client(local.base_url, poll_interval=0.01)
    run = pydantic.validate_call(client.run)
    signal = replicate.AbortController().signal
    assert (
        both(
            lambda: run("acme/shout", input={"text": "hi"}, timeout=30, signal=signal, webhook=None)
        )
        == "HI"
    )
    model = both(lambda: client.models.get("acme/shout"))
    assert both(lambda: run(model, {"text": "hi"})) == "HI"
    assert (
        both(lambda: run(replicate.ModelVersionIdentifier("acme", "shout"), {"text": "hi"})) == "HI"
    )
    for wrong in (
        {"ref": 5},
        {"ref": "a/b", "input": 5},
        {"ref": "a/b", "webhook": 5},
        {"ref": "a/b", "signal": "now"},
    ):
        with pytest.raises(pydantic.ValidationError):
            both(lambda wrong=wrong: run(**wrong))


@pytest.mark.parametrize("path", FUNCTIONS)
@pytest.mark.parametrize("kind", CLIENTS)
def test_beartype_can_check_calls(kind, path):
    beartype = pytest.importorskip("beartype")
    assert callable(beartype.beartype(at(CLIENTS[kind], path)))


def test_beartype_checks_calls_of_functions():
    beartype = pytest.importorskip("beartype")
    for name in OF_THE_PACKAGE:
        assert callable(beartype.beartype(getattr(replicate, name)))
    with pytest.raises(beartype.roar.BeartypeCallHintParamViolation, match="tolerance"):
        beartype.beartype(replicate.validate_webhook)(tolerance="long")
    assert beartype.beartype(replicate.get_path_url)(5) is None


def test_methods_are_called_what_they_are():
    one, other = CLIENTS["sync"], CLIENTS["async"]
    for path in (
        "run",
        "async_run",
        "stream",
        "async_stream",
        "text_stream",
        "relay",
        "request",
        "search",
        "wait",
    ):
        assert at(one, path).__name__ == at(other, path).__name__ == path
        assert at(one, path).__qualname__ == f"Replicate.{path}"
        assert at(other, path).__qualname__ == f"AsyncReplicate.{path}"
        assert at(one, path).__module__ == "replicate_rs.client"
    assert one.predictions.create.__qualname__ == "Predictions.create"
    assert one.predictions.async_create.__qualname__ == "Predictions.async_create"
    assert replicate.Prediction(id="p").async_wait.__qualname__ == "Prediction.async_wait"


@pytest.mark.parametrize(
    "path",
    [*FUNCTIONS[:5], "predictions.create", "trainings.create", "models.get", "deployments.get"],
)
def test_help_explains_every_option(path):
    function = at(CLIENTS["sync"], path)
    text = inspect.getdoc(function)
    hint = typing.get_type_hints(function)["options"]
    (kind,) = typing.get_args(hint)
    for name in kind.__annotations__:
        assert f"\n    {name}: " in text, name
    assert "\n\nOptions:\n" in text
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD and path in (
            "run",
            "stream",
            "predictions.create",
        ):
            assert f"\n    {parameter.name}: " in text, parameter.name


def test_options_are_explained_as_their_types_are():
    from replicate_rs._predictions import params

    checked = set()
    for path in ("_base/types.py", "_predictions/types.py"):
        for node in ast.parse((PACKAGE / path).read_text()).body:
            if not (isinstance(node, ast.ClassDef) and node.name in params.HELP):
                continue
            fields = [each for each in node.body if isinstance(each, (ast.AnnAssign, ast.Expr))][1:]
            docstrings = {
                field.target.id: " ".join(ast.literal_eval(docstring.value).split())
                for field, docstring in zip(fields[::2], fields[1::2], strict=True)
            }
            assert docstrings.items() <= params.HELP[node.name].items()
            assert params.HELP[node.name].keys() == getattr(types, node.name).__annotations__.keys()
            checked.add(node.name)
    assert checked == params.HELP.keys()
