"""The programs of guides on one subject each, from a page's first block to its last; and commands.

Programs on Ray Data, Dask and Spark are run by `tests/engines`.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import replicate_rs as replicate
from replicate_rs.batch import command as batch_command
from replicate_rs.drop_in import __main__ as drop_in_command
from replicate_rs.local import command as local_command
from replicate_rs.local.cassettes import options as cassette_options
from support import pages
from support.pages import DOCS, ROOT, blocks, run
from support.readmes import PNG
from support.webhooks import Receiver, signed

service, pytester_like = pages.service, pages.pytester_like


def run_apart(programs: list[str], *more: str) -> list[str]:
    """Run programs in a process of their own, and return the lines that they print."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*programs, *more])],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# Many inputs


def test_the_page_on_many_inputs(service, capsys):
    (table,) = blocks("batch.md", "csv")
    Path("prompts.csv").write_text(table)
    first, reading, journal = blocks("batch.md")
    names = run([first], "batch.md")
    assert sorted(path.stem for path in Path("images").iterdir()) == ["crab", "llama"]
    assert capsys.readouterr().out.count(" succeeded ") == 2

    Path("prompts.jsonl").write_text('{"prompt": "a llama"}\n')
    Path("photos.csv").write_text("id,text,photo,seed\na,a llama,a.png,7\n")
    imported, *calls = ast.parse(reading).body
    exec(ast.unparse(imported), vars(names))
    read = [[*eval(ast.unparse(each), vars(names))] for each in calls]
    assert read[0] == [{"prompt": "a llama"}]
    assert read[1] == [{"prompt": "a llama", "image": Path.cwd() / "a.png"}]
    assert read[2] == [("a", {"prompt": "a llama", "seed": 7})]

    run([journal], "batch.md")
    assert len(Path("results.jsonl").read_text().splitlines()) == 2


def test_the_commands_on_many_inputs(service):
    (table,) = blocks("batch.md", "csv")
    Path("prompts.csv").write_text(table)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    for commands in blocks("batch.md", "sh"):
        done = subprocess.run(
            ["sh", "-ec", commands],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    # What the first command ran is known to the second one.
    assert len([each for each in service.requests if each.method == "POST"]) == 2
    assert len(Path("results.csv").read_text().splitlines()) == 3


def test_the_page_on_engines(service, capsys):
    programs = blocks("distributed.md")
    for program in programs:
        ast.parse(program)
    run(programs[:1], "distributed.md")
    assert capsys.readouterr().out.startswith("succeeded ")


def test_all_programs_on_engines_are_run_by_their_tests():
    tests = "".join(path.read_text() for path in ROOT.glob("tests/engines/test_*.py"))
    run_there = set(re.findall(r'run_examples\("(.*?)"', tests))
    text = (DOCS / "distributed.md").read_text()
    sections = re.split(r"^#+ (.*)\n", text, flags=re.MULTILINE)[1:]
    pairs = zip(sections[::2], sections[1::2], strict=True)
    assert {title for title, section in pairs if "\n```python\n" in section} == run_there


# Clients, files, streams, webhooks


def test_the_page_on_clients(service):
    async def read(name: str) -> str:
        return service.token

    names = run(blocks("clients.md"), "clients.md", vault=SimpleNamespace(read=read))
    assert asyncio.run(names.client.accounts.current()).username
    assert replicate.accounts.current().username


def test_the_page_on_files(service):
    pytest.importorskip("requests")
    settings = pytest.importorskip("django.conf").settings
    if not settings.configured:
        settings.configure(DEFAULT_CHARSET="utf-8")
    uploaded = []

    @service.model("acme/table")
    def table() -> Path:
        Path("table.csv").write_text("a,b\n1,2\n")
        return Path("table.csv")

    Path("song.wav").write_bytes(b"song")
    Path("cover.png").write_bytes(PNG)
    Path("weights.safetensors").write_bytes(b"weights")
    with Receiver() as receiver:
        names = run(
            blocks("files.md"),
            "files.md",
            url=receiver.url,
            table=replicate.run("acme/table", {}),
            s3=SimpleNamespace(upload_fileobj=lambda *each: uploaded.append(each[0].read(100))),
        )
        _, _, sent = receiver.received.get(timeout=10)
    assert [Path("copy.webp").read_bytes(), sent, *uploaded] == [PNG] * 3
    assert Path(names.output[3].name).read_bytes() == PNG
    assert [*names.rows] == [["a", "b"], ["1", "2"]]
    assert [len([*Path(each).iterdir()]) for each in ("iguanas", "images")] == [4, 4]


def test_the_page_on_streaming(service, capsys, monkeypatch):
    testclient = pytest.importorskip("fastapi.testclient")
    programs = blocks("streaming.md")
    names = run(programs[:3], "streaming.md")
    assert capsys.readouterr().out == "Llamas in fog.A novel about llamas."
    with testclient.TestClient(names.app) as client:
        assert "Llamas" in client.get("/chat", params={"prompt": "x"}).text
    # `tests/process/test_services.py` has gunicorn run the fifth.
    names = run(programs[3:], "streaming.md", **vars(names))
    assert capsys.readouterr().out == "output Llamas\ndone {}\n"
    with testclient.TestClient(names.app):
        pass
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(names.client.accounts.current())


class Redis(dict):
    """As much of Redis as the page uses."""

    def set(self, name: str, value: str, *, ex: int, nx: bool = False) -> bool | None:
        if nx and name in self:
            return None
        self[name] = value.encode()
        return True

    delete = dict.pop


def test_the_page_on_webhooks(service, capsys):
    names = run(blocks("webhooks.md"), "webhooks.md", redis=Redis())
    body = b'{"id": "p1", "status": "succeeded", "output": "a cat"}'
    headers = signed(body, secret=service.webhook_secret)
    names.receive(headers, body)
    assert capsys.readouterr().out == "p1 succeeded a cat\n"
    headers = signed(body, id="msg_2", secret=service.webhook_secret)
    for seen in (names.seen, names.SharedWebhooks()):
        verifier = replicate.WebhookVerifier(service.webhook_secret, seen=seen)
        verifier.verify(headers, body)
        with pytest.raises(replicate.webhook.ReplayedWebhookError):
            verifier.verify(headers, body)
        assert not seen.is_settled("msg_2")
        seen.settle("msg_2", succeeded=True)
        assert seen.is_settled("msg_2")
        seen.settle("msg_2", succeeded=False)
        verifier.verify(headers, body)


# The local server


def test_the_page_on_the_local_server(service, pytester_like):
    pytest.importorskip("PIL")
    app, test, elsewhere, faults, throttled = blocks("local.md")
    names = run([app, test, elsewhere, faults], "local.md")
    assert len(names.server.unused_faults) == 5
    pytester_like("\n".join((test, throttled)), passed=2)
    names = run([app], "local.md")
    with names.server as server:
        client = replicate.Replicate(server.token, base_url=server.base_url)
        assert client.run("acme/poster", {"image": PNG}).read().startswith(PNG[:4])
        assert client.text_stream("acme/counter", {"to": 3}).collect() == "1 2 3 "


def test_the_page_on_recordings(service, pytester_like, monkeypatch):
    @service.model("acme/caption")
    def caption(subject: str) -> str:
        return f"{subject} on a mat"

    test, elsewhere = blocks("recordings.md")
    pytester_like(test, "--replicate-record")
    count = len(service.requests)
    pytester_like(test)
    assert len(service.requests) == count > 0

    monkeypatch.setattr(cassette_options, "UPSTREAM", service.base_url)
    run([elsewhere], "recordings.md")
    assert len(service.requests) == 2 * count


# In a process of their own


def test_the_page_on_the_names_of_the_official_client(service):
    shown = "import replicate; print(replicate.__version__, replicate.Client.__module__)"
    assert run_apart(blocks("migration.md"), shown) == ["1.0.7 replicate_rs.drop_in.client"]


def test_the_page_on_greenlets(service):
    pytest.importorskip("gevent")
    together = threading.Barrier(5)

    @service.model("black-forest-labs/flux-schnell")
    def paint(prompt: str) -> list[bytes]:
        together.wait(20)
        return [PNG]

    lines = run_apart(blocks("greenlets.md"), "for output in outputs: print(output[0].url)")
    assert len(lines) == 5


def test_the_page_on_traces(service):
    pytest.importorskip("opentelemetry.sdk")
    provider = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
exporter = ConsoleSpanExporter(formatter=lambda span: span.name + "\\n")
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
"""

    @service.model("acme/story", stream=True)
    def story(prompt: str) -> Iterator[str]:
        yield prompt

    call = "replicate.run('acme/painter', {'prompt': 'an iguana'})"
    lines = run_apart([provider, *blocks("telemetry.md")], call)
    assert "generate_content acme/painter" in lines
    assert "a foxgenerate_content acme/story" in lines
    assert "prediction.reload acme/story" in lines


def test_the_page_on_notebooks(service):
    pytest.importorskip("IPython")
    picture = Path.cwd() / "picture.png"
    picture.write_bytes(PNG)

    @service.model("black-forest-labs/flux-schnell")
    def paint(prompt: str) -> list[Path]:
        return [picture]

    program = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in {blocks("notebooks.md")!r}:
    done = shell.run_cell(cell)
    done.raise_error()
    print(shell.display_formatter.format(done.result)[0]["text/html"].count("<img"))
"""
    lines = run_apart([program])
    # The other lines are those of IPython.
    assert [each for each in lines if each.isdigit()] == ["1", "3", "3"]


# Commands

COMMANDS = [
    (str(path.relative_to(ROOT)), module, words)
    for path in sorted([*ROOT.glob("*.md"), *DOCS.glob("**/*.md")])
    for module, words in re.findall(
        r"python -m replicate_rs\.(\w+)((?:(?:\\\n)?[^\n`\"$&)])*)", path.read_text()
    )
]


@pytest.mark.parametrize(("page", "module", "words"), COMMANDS)
def test_a_command_line_is_valid(page, module, words, monkeypatch):
    arguments = shlex.split(words.replace("\\\n", ""), comments=True)
    if module == "drop_in":
        called = []
        for name in ("_run_module", "_run_code", "_run_program"):
            monkeypatch.setattr(drop_in_command, name, lambda *each: called.append(each))
        drop_in_command.main(arguments)
        assert called or arguments == ["--path"]
    else:
        parser = {"batch": batch_command, "local": local_command}[module]._parser()
        # Within a sentence, the command stands without arguments.
        if arguments:
            parser.parse_args(arguments)


def options(parser: argparse.ArgumentParser) -> set[str]:
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= set().union(*map(options, action.choices.values()))
    return {each for each in found if each.startswith("--")}


def test_options_on_the_pages_exist():
    named = {
        page: set(re.findall(r"`(--[a-z-]+)", (DOCS / page).read_text()))
        for page in ("batch.md", "local.md", "recordings.md")
    }
    assert named["batch.md"] <= options(batch_command._parser())
    of_pytest = {"--replicate-record", "--record-mode"}
    of_local = named["local.md"] | named["recordings.md"] - of_pytest
    assert of_local | {"--help"} == options(local_command._parser())


# All pages

# Pages, and the tests that run all of their programs.
RUN_BY = {
    "../README.md": "test_the_examples_of_the_readme",
    "batch.md": "test_the_page_on_many_inputs",
    "clients.md": "test_the_page_on_clients",
    "coming-from/node.md": "test_what_people_do_first",
    "coming-from/replicate-1.md": "test_what_people_do_first",
    "coming-from/replicate-2.md": "test_what_people_do_first",
    "coming-from/tests-and-tracing.md": "test_the_page_on_tests_and_tracing",
    "distributed.md": "test_all_programs_on_engines_are_run_by_their_tests",
    "errors.md": "test_the_programs_of_a_page_run",
    "files.md": "test_the_page_on_files",
    "first-run-account.md": "test_the_programs_of_a_page_run",
    "first-run.md": "test_the_first_run_without_an_account",
    "frameworks/aws-lambda.md": "test_aws_lambda",
    "frameworks/celery.md": "test_celery",
    "frameworks/django.md": "test_django",
    "frameworks/fastapi.md": "test_fastapi",
    "frameworks/flask.md": "test_flask",
    "greenlets.md": "test_the_page_on_greenlets",
    "local.md": "test_the_page_on_the_local_server",
    "migration.md": "test_the_page_on_the_names_of_the_official_client",
    "network.md": "test_the_page_on_networks",
    "notebooks.md": "test_the_page_on_notebooks",
    "recordings.md": "test_the_page_on_recordings",
    "running.md": "test_the_programs_of_a_page_run",
    "streaming.md": "test_the_page_on_streaming",
    "telemetry.md": "test_the_page_on_traces",
    "webhooks.md": "test_the_page_on_webhooks",
}


def test_the_programs_of_every_page_are_run():
    pages = [Path("../README.md"), *(path.relative_to(DOCS) for path in DOCS.glob("**/*.md"))]
    fence = re.compile(r"^\s*(```|~~~) *(py|python|python3|pycon)\b", re.MULTILINE)
    have_programs = [str(page) for page in pages if fence.search((DOCS / page).read_text())]
    assert sorted(have_programs) == sorted(RUN_BY)
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert set(RUN_BY.values()) <= set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))


def test_programs_are_where_the_tests_find_them():
    """`blocks` takes those that begin at the margin and are called ``python``."""
    for page in RUN_BY:
        fences = re.findall(r"^\s*(?:```|~~~) *py.*$", (DOCS / page).read_text(), re.MULTILINE)
        assert len(fences) == len(blocks(page)), page
