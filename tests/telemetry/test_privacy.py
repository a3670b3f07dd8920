"""What is never recorded, and what is if it is asked for."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import replicate_rs as replicate
from replicate_rs import exceptions, telemetry
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

    @pytest.mark.parametrize(
        ("name", "call"),
        [
            ("predictions.get", lambda client: client.predictions.get("p1")),
            ("predictions.list", lambda client: client.predictions.list()),
            ("models.delete acme/x", lambda client: client.models.delete("acme", "x")),
            ("files.create", lambda client: client.files.create(b"content")),
        ],
    )
    def test_the_span_of_an_operation_is_that_of_its_request(self, both, recorded, name, call):
        recorded.instrument(propagate=True)
        content = {**prediction(), "name": "f", "results": [], "next": None, "previous": None}
        with Wire(lambda seen: reply(content)) as wire:
            client = both.client(wire.base_url)
            with recorded.tracer.start_as_current_span("caller"):
                both(lambda: call(client))
            span = recorded.span(name).context
            assert f"{span.span_id:016x}" in wire.seen[0].headers["traceparent"]

    def test_a_header_of_the_caller_s_own_comes_first(self, both, recorded):
        recorded.instrument(propagate=True)
        with Wire(lambda seen: reply(prediction())) as wire:
            client = both.client(wire.base_url)
            both(lambda: client.predictions.get("p1", extra_headers={"traceparent": "mine"}))
            assert wire.seen[0].headers["traceparent"] == "mine"


SECRET = "zq9secret"
# What may stand around a secret and change how it is cut out.
AROUND = st.text(" \t'\"<>@:/?#&=%+;,\\{}[]()|~.-_aZ0\u00e9\u2028", max_size=6)
SECRETS = st.tuples(AROUND, AROUND).map(SECRET.join)


def in_path(text):
    return quote(text, safe="")


def in_query(text):
    return quote(text, safe="/?:@!$&'()*+,;=")


def perform(both, call):
    """Do what may fail."""
    with suppress(exceptions.ReplicateError, ValueError, TypeError, KeyError, OSError):
        both(call)


class Secretive:
    """A service whose answers have secrets in every place, and a client with secrets of its own."""

    def __init__(self, both, text, *, credentials_only=False):
        self.both, self.text = both, text
        # What is no secret if content is asked for.
        self.content = "content" if credentials_only else text
        self.wire = Wire(self.answer)

    def url(self, path):
        host = self.wire.origin.partition("//")[2]
        path = path if self.content == "content" else f"{path}/{in_path(self.text)}"
        return f"http://me:{in_path(self.text)}@{host}{path}?sig={in_query(self.text)}"

    def answer(self, seen):
        if "/output/" in seen.path:
            return reply(self.content.encode(), headers=f"X-Key: {SECRET}\r\n")
        if "/stream/" in seen.path:
            data = "".join(f"data: {line}\n" for line in self.content.splitlines() or [""])
            events = f"event: output\n{data}\nevent: logs\n{data}\nevent: done\ndata: {{}}\n\n"
            return reply(events.encode(), kind="text/event-stream")
        problem = {"detail": self.content, "title": self.content, "instance": self.content}
        if "refuse" in str(seen.body) or "refuse" in seen.path:
            return reply(problem, 422)
        status = "failed" if "fail" in str(seen.body) else "succeeded"
        made = prediction(
            status,
            input={"prompt": self.content, "webhook": self.url("/hook")},
            output=[self.url("/output"), f"data:text/plain,{in_query(self.text)}"],
            error=self.content,
            logs=self.content,
            urls={"stream": self.url("/stream/")},
            webhook=self.url("/hook"),
        )
        return reply(made, 201 if seen.method == "POST" else 200)

    def calls(self):
        prefix = f"{self.wire.origin}/{in_path(self.text)}/v1"
        client = self.both.client(
            prefix,
            api_token=f"r8_{SECRET}",
            headers={"X-Key": SECRET},
            max_retries=0,
            poll_interval=0.001,
        )
        text, content = self.text, self.content
        inputs = {
            "prompt": content,
            "api_key": text,
            "image": f"data:image/png;base64,{in_query(text)}",
            "url": f"https://me:{in_path(text)}@example.com/x?sig={in_query(text)}",
            "file": content.encode(),
            "nested": [{"hf_token": text, "x": content}],
        }

        def broken(_):
            raise KeyError(content)

        yield lambda: client.run("acme/x", inputs, webhook=self.url("/hook"))
        yield lambda: client.run("acme/x", {"a": "fail", **inputs})
        yield lambda: client.run("acme/x", {"a": "refuse", **inputs})
        yield lambda: client.run("acme/x", inputs, progress=broken)
        yield lambda: client.stream("acme/x", inputs)
        yield lambda: client.text_stream("acme/x", inputs)
        yield lambda: client.use("acme/x")(**inputs)
        yield lambda: client.predictions.create("acme/x", inputs)
        yield lambda: client.files.create(content.encode(), filename=content)
        yield lambda: client.request("/" + in_path(text), params={"key": text})
        yield lambda: client.request(f"/predictions/{in_path(text)}%3F")
        yield lambda: replicate.FileOutput(self.url("/output"), client).read()
        yield client.webhooks.default.secret.get
        if content != text:
            # Texts of errors quote wrong names, and are content.
            return
        # A part of these alone could be a name.
        text = text.replace("/", "").replace(":", "")
        for name in (text, f"https://{text}@example.com/x", f"acme/x?{text}", f"acme/x#{text}"):
            # None of these is the name of anything.
            yield lambda name=f"{name}?": client.run(name, inputs)
            yield lambda name=f"{name}?": client.models.get(name)
            yield lambda name=f"{name}?": client.models.get(name, name)
            yield lambda name=f"{name}?": client.predictions.create(deployment=name, input={})
            yield lambda name=f"{name}?": client.deployments.get(name, name)
            yield lambda name=f"{name}?": client.predictions.get(name)

    def perform_all(self):
        with self.wire:
            for call in self.calls():
                perform(self.both, call)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=SECRETS)
def test_no_secret_gets_into_a_span_or_a_metric_by_any_way(both, recorded, text):
    """As a gateway's key, token, header, name, prompt, output, log, error, webhook or address."""
    recorded = type(recorded)()
    recorded.instrument()
    Secretive(both, text).perform_all()
    telemetry.uninstrument()
    assert len(recorded.spans()) > 40
    assert [line for line in unquote(recorded.text()).splitlines() if SECRET in line] == []


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=SECRETS)
def test_credentials_get_nowhere_though_content_is_asked_for(both, recorded, text):
    recorded = type(recorded)()
    recorded.instrument(capture_content=True)
    Secretive(both, text, credentials_only=True).perform_all()
    telemetry.uninstrument()
    shown = unquote(recorded.text())
    assert '\\"content\\": \\"content\\"' in shown
    assert [line for line in shown.splitlines() if SECRET in line] == []


def test_an_error_that_leaves_a_span_of_the_program_s_own(both, recorded):
    """OpenTelemetry writes its text there. The token is not in it."""
    with Wire(lambda seen: reply({"detail": f"the token {TOKEN} is wrong"}, 401)) as wire:
        client = both.client(wire.base_url, api_token=TOKEN, max_retries=0)
        with (
            pytest.raises(exceptions.AuthenticationError),
            recorded.tracer.start_as_current_span("caller"),
        ):
            both(lambda: client.predictions.get("p1"))
    (event,) = recorded.span("caller").events
    assert event.name == "exception"
    assert TOKEN not in recorded.text()
    assert recorded.span("predictions.get").events == ()


@given(SECRETS)
def test_texts_without_secrets(text):
    from replicate_rs._telemetry.attributes import without_secrets

    for url in (
        f"https://example.com/a?sig={in_query(text)}",
        f"HTTPS://me:{in_path(text)}@example.com/a",
        f"http://example.com/a#{in_query(text)}",
    ):
        assert SECRET not in unquote(without_secrets(url))
        shown = without_secrets(f"see {url}, or '{url}'")
        assert shown.startswith("see ")
    uri = f"data:text/plain;base64,{in_query(text)}"
    assert without_secrets(uri) == "data:text/plain;base64,REDACTED"
    assert without_secrets("what? a@b.c data: no, http://x.y/z") == (
        "what? a@b.c data: no, http://x.y/z"
    )
