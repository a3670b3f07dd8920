"""Every name of the modules of 1.0.7 is an attribute of the modules here."""

import subprocess
import sys

import pytest

LISTED = """
import importlib, json, pkgutil, types, replicate

attributes = {
    name: isinstance(value, types.ModuleType)
    for name, value in vars(replicate).items()
    if name[0] != "_"
}
own, all = {}, {}
for _, path, _ in pkgutil.iter_modules(replicate.__path__):
    module = importlib.import_module(f"replicate.{path}")
    homes = {
        name: getattr(value, "__module__", "")
        for name, value in vars(module).items()
        if name[0] != "_"
    }
    own[path] = [name for name, home in homes.items() if home == module.__name__]
    all[path] = [name for name, home in homes.items() if home and home.startswith("replicate")]
print(json.dumps([attributes, own, all]))
"""
COMPARED = """
import importlib, json, sys, types

attributes, own, all = json.loads(sys.argv[1])
is_alias = package.__name__ == "replicate"
# Names without a use here, which exist only under the name `replicate`.
unused = {"RetryTransport", "EventSource", "CreatePredictionRequestParams", "T"}
for name, is_module in attributes.items():
    value = getattr(package, name)
    # `replicate_rs.account` is a namespace with the names of the module.
    assert isinstance(value, types.ModuleType) == (is_module and (is_alias or name != "account")), (
        name
    )
    if is_module:
        for each in all[name] if is_alias else set(own[name]) - unused:
            assert getattr(value, each) is not None, (name, each)
for name in own:
    module = importlib.import_module(f"{package.__name__}.{name}")
    for each in all[name] if is_alias else set(own[name]) - unused:
        assert getattr(module, each) is not None, (name, each)
"""


@pytest.fixture(scope="module")
def official():
    """Return the names of the official 1.0.7, as JSON."""
    return subprocess.run(
        [sys.executable, "-c", LISTED], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("name", ["replicate", "replicate_rs"])
def test_every_submodule_is_an_attribute_after_a_bare_import(official, name):
    install = (
        "import replicate_rs.drop_in; replicate_rs.drop_in.install()" if name == "replicate" else ""
    )
    code = f"{install}\nimport {name} as package\n{COMPARED}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, official],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")
