"""The pytest plugin: the fixture `replicate_local`, a local Replicate for one test.

pytest finds it by itself.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from .local import LocalReplicate

_SERVER = pytest.StashKey["LocalReplicate"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `replicate_local`."""
    parser.addini(
        "replicate_local",
        "the server of the fixture replicate_local: app.py, beside the ini file, or module:name",
        default="",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that has passed without meeting the faults that it asked for."""
    result = yield
    server = item.stash.get(_SERVER, None)
    unused = [] if server is None else server.unused_faults
    if server is not None and unused:
        pytest.fail(_unused(server), pytrace=False)
    return result


def _unused(server: LocalReplicate) -> str:
    met = [f"{each.method} {each.path}" for each in server.requests]
    lines = ["faults that have not struck:", *(f"  {each}" for each in server.unused_faults)]
    lines += ["the requests of this test:", *(f"  {each}" for each in (met[-20:] or ["none"]))]
    return "\n".join([*lines, "a fault that may be left out is told so: fault(..., optional=True)"])


@pytest.fixture(scope="session")
def _replicate_local_app(pytestconfig: pytest.Config) -> LocalReplicate | None:
    from .local.loading import LoadError, load

    reference = str(pytestconfig.getini("replicate_local"))
    try:
        return load(reference, _folder(pytestconfig), is_alone=False) if reference else None
    except LoadError as error:
        pytest.fail(f"replicate_local = {reference}: {error}", pytrace=False)


def _folder(config: pytest.Config) -> Path:
    return config.invocation_params.dir if config.inipath is None else config.inipath.parent


@pytest.fixture
def replicate_local(
    request: pytest.FixtureRequest,
    _replicate_local_app: LocalReplicate | None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LocalReplicate]:
    """Return a local Replicate that runs for this test; clients that were not given an address find
    it.

    It has the models of the file or module that the setting `replicate_local` names, and those that
    the test adds. A test whose faults have not struck fails.
    """
    from .local import LocalReplicate

    # A server of the test's own: what one test adds, the next does not see.
    with (
        LocalReplicate() if _replicate_local_app is None else _replicate_local_app.copy() as server
    ):
        request.node.stash[_SERVER] = server
        monkeypatch.setenv("REPLICATE_BASE_URL", server.origin)
        monkeypatch.setenv("REPLICATE_API_TOKEN", server.token or "any")
        _forget_default_client()
        yield server
        _forget_default_client()


def _forget_default_client() -> None:
    import sys

    from .drop_in import imported

    for module in (sys.modules["replicate_rs"], imported()):
        names: dict[str, object] = {} if module is None else module.__dict__
        names.pop("default_client", None)
