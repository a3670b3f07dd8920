"""The pytest plugin: the fixture `replicate_local`, a local Replicate for one test. pytest finds it by itself."""

from __future__ import annotations

import pytest

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .local import LocalReplicate


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `replicate_local`."""
    parser.addini("replicate_local", "the server of the fixture replicate_local: app.py, or module:name", default="")


@pytest.fixture(scope="session")
def _replicate_local_app(request: pytest.FixtureRequest) -> LocalReplicate | None:
    from .local.loading import load

    reference = str(request.config.getini("replicate_local"))
    return load(reference) if reference else None


@pytest.fixture
def replicate_local(_replicate_local_app: LocalReplicate | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalReplicate]:
    """Give a local Replicate that runs for this test; clients that are made in it find it through the environment.

    It has the models of the file or module that the setting `replicate_local` names, and those that the test adds.
    """
    from .local import LocalReplicate

    # A server of the test's own: what one test adds, the next does not see.
    with LocalReplicate() if _replicate_local_app is None else _replicate_local_app.copy() as server:
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
