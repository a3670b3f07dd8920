"""The pytest plugin with the fixture `replicate_local`. pytest loads it by its entry point."""

from __future__ import annotations

import pytest

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from .local import LocalReplicate

# Requests in the message about unused faults.
MAX_REQUESTS = 20

_SERVER = pytest.StashKey["LocalReplicate"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `replicate_local`."""
    parser.addini(
        "replicate_local",
        "the models of the fixture replicate_local: app.py, beside the ini file, or module:name",
        default="",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that passed although one of its faults did not strike."""
    result = yield
    server = item.stash.get(_SERVER, None)
    if server is not None and server.unused_faults:
        pytest.fail(_describe_unused_faults(server), pytrace=False)
    return result


def _describe_unused_faults(server: LocalReplicate) -> str:
    requests = [f"{each.method} {each.path}" for each in server.requests[-MAX_REQUESTS:]]
    lines = ["faults that have not struck:", *(f"  {each}" for each in server.unused_faults)]
    lines += ["the requests of this test:", *(f"  {each}" for each in requests or ["none"])]
    return "\n".join([*lines, "if a fault need not strike, use fault(..., optional=True)"])


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
    """Return a local Replicate that runs during the test.

    Clients without a `base_url` of their own use it. It has the models of the file or module in the
    setting `replicate_local`; a test may add others, which later tests do not see. A test fails if
    one of its faults has not struck.
    """
    from .local import LocalReplicate

    app = _replicate_local_app
    with LocalReplicate() if app is None else app.copy() as server:
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
