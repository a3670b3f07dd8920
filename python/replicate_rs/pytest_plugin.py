"""The pytest plugin with the fixture `replicate_local`. pytest loads it by its entry point."""

from __future__ import annotations

import os

import pytest

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from .local import LocalReplicate

# Requests in the message about unused faults.
MAX_REQUESTS = 20

MARKER = "replicate_local"

_SERVER = pytest.StashKey["LocalReplicate"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `replicate_local`, and the option that records."""
    parser.getgroup("replicate_rs").addoption(
        "--replicate-record",
        action="store_true",
        help="record the cassettes of @pytest.mark.replicate_local(replay=...) from the API, with"
        " the token in REPLICATE_API_TOKEN (and another API's URL in REPLICATE_BASE_URL)",
    )
    parser.addini(
        "replicate_local",
        "the models of the fixture replicate_local: app.py, beside the ini file, or module:name",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(replay, *, redact=(), at_once=False): the folder of the cassette from which the"
        " fixture replicate_local answers, relative to the test's file; with --replicate-record it"
        " is recorded.",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that passed although a fault did not strike or a request was not recorded."""
    result = yield
    server = item.stash.get(_SERVER, None)
    if server is not None and server.unrecorded:
        lines = ["requests that were not recorded:", *server.unrecorded]
        lines.append("to record the cassette again: pytest --replicate-record")
        pytest.fail("\n".join(lines), pytrace=False)
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

    With ``@pytest.mark.replicate_local(replay="cassettes/x")`` it has no models, and answers from
    that cassette. ``pytest --replicate-record`` records it.
    """
    from .local import CassetteError, LocalReplicate

    app = _replicate_local_app
    marker = request.node.get_closest_marker(MARKER)
    is_recording = marker is not None and bool(request.config.getoption("replicate_record"))
    if marker is not None:
        create = _create_recorder if is_recording else _create_player
        server = create(request.path.parent, *marker.args, **marker.kwargs)
    else:
        server = LocalReplicate() if app is None else app.copy()
    try:
        server.start()
    except CassetteError as error:
        pytest.fail(f"{error}\nto record a cassette: pytest --replicate-record", pytrace=False)
    try:
        request.node.stash[_SERVER] = server
        monkeypatch.setenv("REPLICATE_BASE_URL", server.origin)
        if not is_recording:
            monkeypatch.setenv("REPLICATE_API_TOKEN", server.token or "any")
        _forget_default_client()
        yield server
        _forget_default_client()
    finally:
        server.stop()


def _create_recorder(
    folder: Path,
    replay: str | Path,
    *,
    redact: Sequence[str] = (),
    at_once: bool = False,  # noqa: ARG001 - for the replay
) -> LocalReplicate:
    from .local import LocalReplicate

    upstream = os.environ.get("REPLICATE_BASE_URL") or None
    return LocalReplicate(record=folder / replay, upstream=upstream, redact=redact)


def _create_player(
    folder: Path,
    replay: str | Path,
    *,
    redact: Sequence[str] = (),  # noqa: ARG001 - the cassette has it
    at_once: bool = False,
) -> LocalReplicate:
    from .local import LocalReplicate

    return LocalReplicate(replay=folder / replay, at_once=at_once)


def _forget_default_client() -> None:
    import sys

    from .drop_in import imported

    for module in (sys.modules["replicate_rs"], imported()):
        names: dict[str, object] = {} if module is None else module.__dict__
        names.pop("default_client", None)
