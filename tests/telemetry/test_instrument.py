"""Switching it on and off, in programs and by OpenTelemetry's command."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import replicate_rs as replicate
from conftest import script
from replicate_rs import telemetry
from replicate_rs._base import operation
from replicate_rs._core import set_tracer
from support.wire import Wire, done, numbered, prediction, reply, streaming

pytest_plugins = ["support.telemetry_fixtures"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(observed_server):
    return observed_server


@pytest.fixture
def client(both, server):
    return both.client(server.base_url, poll_interval=0.01)


def test_nothing_is_recorded_or_imported_before(server):
    done = script(
        f"""
        import sys
        import replicate_rs
        import replicate_rs.telemetry
        client = replicate_rs.Replicate("r8_secret", base_url={server.base_url!r})
        assert client.run("acme/shout", input={{"text": "a"}}) == "A"
        print([name for name in sys.modules if name.startswith("opentelemetry")])
        """
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_methods_that_were_taken_before_are_recorded(both, client, recorded):
    telemetry.uninstrument()
    run, stream = client.run, client.stream
    both(lambda: run("acme/shout", {"text": "a"}))
    both(lambda: stream("acme/words", {"text": "a"}))
    assert recorded.spans() == []
    recorded.instrument()
    both(lambda: run("acme/shout", {"text": "a"}))
    both(lambda: stream("acme/words", {"text": "a"}))
    assert [span.name for span in recorded.spans() if span.parent is None] == [
        "generate_content acme/shout",
        "generate_content acme/words",
    ]


def test_everything_is_as_before_at_the_end(both, client, recorded):
    both(lambda: client.run("acme/shout", {"text": "a"}))
    count = len(recorded.spans())
    telemetry.uninstrument()
    telemetry.uninstrument()
    both(lambda: client.run("acme/shout", {"text": "a"}))
    both(lambda: client.stream("acme/words", {"text": "a"}))
    assert len(recorded.spans()) == count
    for method, replace in operation._performed:
        cells = dict(zip(replace.__code__.co_freevars, replace.__closure__ or (), strict=True))
        assert cells["perform"].cell_contents is method.function


def test_calls_cost_what_they_did_before(recorded):
    """As many Python functions are called as before anything was recorded, and the same."""
    with streaming(numbered("a ", "b ") + done(), poll=prediction()) as wire:
        client = replicate.Replicate("r8_x", base_url=wire.base_url)

        def called(call):
            codes = []
            sys.setprofile(lambda frame, event, _: event == "call" and codes.append(frame.f_code))
            try:
                call()
            finally:
                sys.setprofile(None)
            # Not those of whatever the garbage collector finds.
            return [code for code in codes if "replicate_rs" in code.co_filename]

        def calls():
            # How often depends on how many events arrive together.
            stream = {*called(lambda: [*client.stream("acme/x", {})])}
            return called(lambda: client.predictions.get("p1")), stream

        telemetry.uninstrument()
        # What is imported when it is first needed is there then.
        for _ in range(3):
            before = calls()
        recorded.instrument()
        assert len(calls()[0]) > len(before[0])
        telemetry.uninstrument()
        assert calls() == before
    codes = before[1].union(before[0])
    assert not any("_telemetry" in code.co_filename for code in codes)


def test_a_stream_that_was_begun_before_the_end_of_recording(both, client, recorded):
    stream = client.text_stream("acme/words", input={"text": "a b"})
    telemetry.uninstrument()
    assert both(lambda: stream.collect()) == "ab"
    recorded.span("generate_content acme/words")


def test_twice_is_once(both, client, recorded):
    telemetry.instrument()
    both(lambda: client.run("acme/shout", {"text": "a"}))
    assert len(recorded.spans("generate_content acme/shout")) == 1


def test_wrong_arguments():
    for name in ("propagate", "capture_content"):
        with pytest.raises(TypeError, match=name):
            telemetry.instrument(**{name: "yes"})
    assert not telemetry.ReplicateInstrumentor().is_instrumented_by_opentelemetry


def test_without_opentelemetry():
    done = script(
        """
        import sys
        sys.modules["opentelemetry"] = None
        import replicate_rs.telemetry
        try:
            replicate_rs.telemetry.instrument()
        except ImportError as error:
            print(error)
        """
    )
    assert 'pip install "replicate-rs[otel]"' in done.stdout


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_of_a_tracer_does_not_end_a_call(both, client, recorded):
    def fail(*_):
        raise RuntimeError("broken tracer")

    class Call:
        attempt = received = fail

    for tracer in (fail, lambda _: 1, lambda _: (None, [("a b", "c")]), lambda _: (Call(), [])):
        set_tracer(tracer)
        assert both(lambda: client.run("acme/shout", {"text": "a"})) == "A"


def test_the_oldest_opentelemetry_that_is_tested_is_the_oldest_that_is_taken():
    """`make test-third-parties` runs these tests with it."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert extras["otel"] == ["opentelemetry-api>=1.30"]
    tested = (ROOT / "tools" / "requirements-otel.txt").read_text().splitlines()
    assert "opentelemetry-api==1.30.0" in tested


class TestInstrumentor:
    def test_has_the_interface_that_distributions_call(self, recorded):
        telemetry.uninstrument()
        instrumentor = telemetry.ReplicateInstrumentor()
        assert [*instrumentor.instrumentation_dependencies()] == []
        instrumentor.instrument(
            skip_dep_check=True,
            raise_exception_on_conflict=True,
            tracer_provider=recorded.tracer_provider,
        )
        assert instrumentor.is_instrumented_by_opentelemetry
        with Wire(lambda seen: reply(prediction())) as wire:
            replicate.Replicate("r8_x", base_url=wire.base_url).predictions.get("p1")
        recorded.span("predictions.get")
        instrumentor.uninstrument()
        assert not instrumentor.is_instrumented_by_opentelemetry

    def test_is_an_entry_point(self):
        (found,) = entry_points(group="opentelemetry_instrumentor", name="replicate_rs")
        assert found.load() is telemetry.ReplicateInstrumentor

    def test_the_command_finds_it(self, server, tmp_path):
        program = tmp_path / "app.py"
        program.write_text(
            "import replicate_rs as replicate\n"
            "print(replicate.run('acme/shout', input={'text': 'private'}))\n"
        )
        command = Path(sys.executable).with_name("opentelemetry-instrument")
        done = subprocess.run(
            [command, sys.executable, program],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ
            | {
                "REPLICATE_API_TOKEN": "r8_secret",
                "REPLICATE_BASE_URL": server.base_url,
                "OTEL_TRACES_EXPORTER": "console",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
            },
            check=False,
        )
        assert done.stdout.startswith("PRIVATE\n") or "\nPRIVATE\n" in done.stdout, done.stderr
        assert '"name": "generate_content acme/shout"' in done.stdout
        assert "POST /v1/models/{model_owner}/{model_name}/predictions" in done.stdout
        assert "r8_secret" not in done.stdout
        assert "private" not in done.stdout
