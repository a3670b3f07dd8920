"""What is never recorded, and what is if it is asked for."""

from __future__ import annotations

import json

import pytest

from replicate_rs import exceptions
from support.wire import Wire, prediction, reply

pytest_plugins = ["support.telemetry_fixtures"]


@pytest.fixture
def server(observed_server):
    return observed_server


@pytest.fixture
def client(both, server):
    return both.client(server.base_url, poll_interval=0.01)


TOKEN = "r8_secretsecretsecret"


def test_nothing_private_is_recorded(both, recorded, tmp_path):
    """The token, headers, signatures, inputs, outputs and logs, in every kind of call."""
    urls = {}

    def answer(seen):
        path = seen.path.partition("?")[0]
        if path == "/v1/files":
            return reply({"id": "f1", "urls": {"get": f"{wire.base_url}/files/f1"}}, 201)
        if path.startswith("/output/"):
            return reply(b"content_secret", kind="image/png")
        if path.startswith("/stream/"):
            events = "event: output\ndata: output_secret\n\nevent: done\ndata: {}\n\n"
            return reply(events.encode(), kind="text/event-stream")
        if "fail" in seen.body.decode("latin-1"):
            return reply(prediction("failed", error="error_secret", logs="log_secret"), 201)
        if "refuse" in seen.body.decode("latin-1"):
            return reply({"detail": "input.text_secret is wrong", "title": "title_secret"}, 422)
        return reply(
            prediction(
                input={"text": "input_secret"},
                output=[f"{wire.origin}/output/path_secret.png?sig=signature_secret"],
                logs="log_secret",
                urls=urls,
                webhook="https://me:webhook_secret@example.com/?key=webhook_secret",
            ),
            201,
        )

    file = tmp_path / "name_secret.txt"
    file.write_bytes(b"file_secret")
    with Wire(answer) as wire:
        urls["stream"] = f"{wire.origin}/stream/token_secret?sig=signature_secret"
        client = both.client(
            wire.base_url, api_token=TOKEN, headers={"X-Key": "header_secret"}, max_retries=0
        )
        (output,) = both(lambda: client.run("acme/x", {"text": "input_secret", "file": file}))
        assert both(output.read) == b"content_secret"
        both(lambda: output.save(tmp_path / "saved_secret"))
        both(lambda: client.stream("acme/x", {"text": "input_secret"}))
        both(
            lambda: client.request(
                "/predictions",
                params={"cursor": "query_secret"},
                headers={"X-Other": "header_secret"},
            )
        )
        with pytest.raises(exceptions.ModelError):
            both(lambda: client.run("acme/x", {"text": "fail input_secret"}))
        with pytest.raises(exceptions.UnprocessableEntityError):
            both(lambda: client.run("acme/x", {"text": "refuse input_secret"}))
        with pytest.raises(exceptions.ModelError):
            both(lambda: client.run("acme/x", {"text": "fail"}))
    text = recorded.text()
    assert len(recorded.spans()) > 12
    assert "secret" not in text


def test_content_that_is_asked_for(both, client, recorded):
    recorded.instrument(capture_content=True)
    both(lambda: client.run("acme/shout", input={"text": "to be"}))
    both(lambda: client.stream("acme/words", input={"text": "or not"}))
    with pytest.raises(exceptions.ModelError):
        both(lambda: client.run("acme/fail", {"text": "that"}))
    run, stream, fail = recorded.spans(
        *(f"generate_content acme/{name}" for name in ("shout", "words", "fail"))
    )

    def messages(span, name):
        (message,) = json.loads(span.attributes[f"gen_ai.{name}.messages"])
        (part,) = message["parts"]
        return message["role"], part["content"]

    assert messages(run, "input") == ("user", '{"text": "to be"}')
    assert messages(run, "output") == ("assistant", "TO BE")
    assert messages(stream, "output") == ("assistant", "ornot")
    assert fail.status.description == "cannot do that"


def test_a_prompt_is_the_message(both, recorded):
    recorded.instrument(capture_content=True)
    with Wire(lambda seen: reply(prediction(output=["to ", "be"]))) as wire:
        client = both.client(wire.base_url)
        both(lambda: client.run("acme/x", input={"prompt": "or", "seed": 1}))
    attributes = recorded.span("generate_content acme/x").attributes
    assert json.loads(attributes["gen_ai.input.messages"])[0]["parts"][0]["content"] == "or"
    assert json.loads(attributes["gen_ai.output.messages"])[0]["parts"][0]["content"] == "to be"


@pytest.mark.parametrize(
    ("value", "is_captured"),
    [
        ("true", True),
        ("span_and_event", True),
        ("false", False),
        ("event_only", False),
        ("", False),
    ],
)
def test_the_variable_of_the_conventions(client, both, recorded, monkeypatch, value, is_captured):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    recorded.instrument()
    both(lambda: client.run("acme/shout", input={"text": "to be"}))
    assert ("to be" in recorded.text()) is is_captured


class TestPropagation:
    def answer(self, seen):
        if seen.path.startswith("/output"):
            return reply(b"content")
        return reply(prediction(output=f"{self.files.origin}/output/file"))

    def calls(self, both, recorded):
        with Wire(self.answer) as wire, Wire(self.answer) as self.files:
            client = both.client(wire.base_url)
            with recorded.tracer.start_as_current_span("caller"):
                output = both(lambda: client.run("acme/x", input={}))
                both(output.read)
            return wire.seen, self.files.seen

    def test_is_off_unless_it_is_asked_for(self, both, recorded):
        for seen in self.calls(both, recorded):
            assert seen
            assert not any("traceparent" in request.headers for request in seen)

    def test_only_the_api_receives_the_context(self, both, recorded):
        recorded.instrument(propagate=True)
        (create, *_), (file, *_) = self.calls(both, recorded)
        run = recorded.span("generate_content acme/x").context
        assert (
            create.headers["traceparent"]
            == f"00-{run.trace_id:032x}-{run.span_id:016x}-{run.trace_flags:02x}"
        )
        assert "traceparent" not in file.headers

    def test_a_header_of_the_caller_s_own_comes_first(self, both, recorded):
        recorded.instrument(propagate=True)
        with Wire(lambda seen: reply(prediction())) as wire:
            client = both.client(wire.base_url)
            both(lambda: client.predictions.get("p1", extra_headers={"traceparent": "mine"}))
            assert wire.seen[0].headers["traceparent"] == "mine"
