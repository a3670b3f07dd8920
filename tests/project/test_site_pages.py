"""The programs on the pages of the site, each page from its first block to its last.

The models that they name are on a local server. The programs of the guides on a single subject are
in `test_guides.py`.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from replicate_rs import exceptions, webhook
from support import pages
from support.pages import DOCS, ROOT, blocks, run
from support.readmes import PNG

NODE = ROOT / "tests" / "node" / "node_modules"
SITE = (ROOT / "mkdocs.yml").read_text()
PAIRS = DOCS / "coming-from"

service, pytester_like = pages.service, pages.pytester_like


def sides(name: str, language: str) -> tuple[list[str], list[str]]:
    """Return the programs on the left and on the right of a page of pairs."""
    pairs = re.findall(
        rf"<div class=\"pair\" markdown>\n\n```{language}\n(.*?)```\n\n"
        r"```python\n(.*?)```\n\n</div>",
        (PAIRS / name).read_text(),
        re.DOTALL,
    )
    assert len(pairs) == 20
    return [left for left, _ in pairs], [right for _, right in pairs]


# README.md

# What is replaced so that it takes no time.
REPLACED = {"range(1000)": "range(10)"}
# Words a minute, of prose and of programs alike, and the minutes that each step may take.
READ, MINUTES = 230, 5


def test_the_examples_of_the_readme(service, capsys):
    for number, program in enumerate(blocks("../README.md"), start=1):
        for old, new in REPLACED.items():
            program = program.replace(old, new)
        run([program], f"README.md, {number}")
    assert (number, Path("larger.png").read_bytes()) == (5, PNG * 2)
    assert len([*Path("images").iterdir()]) == 10
    printed = capsys.readouterr().out
    assert "Llamas in fog." in printed
    assert printed.endswith("HI\n")


# Guides


@pytest.mark.parametrize("name", ["first-run-account.md", "running.md", "errors.md"])
def test_the_programs_of_a_page_run(service, name):
    run(blocks(name), name)


@pytest.mark.parametrize(
    ("token", "printed"),
    [("r8_readme", "the model failed: out of paint"), ("r8_x", "no prediction: ")],
)
def test_the_page_on_errors_names_them(service, capsys, monkeypatch, token, printed):
    @service.model("acme/painter")
    def paint(prompt: str) -> bytes:
        raise ValueError("out of paint")

    monkeypatch.setenv("REPLICATE_API_TOKEN", token)
    run(blocks("errors.md"), "errors.md")
    assert capsys.readouterr().out.startswith(printed)


def test_the_first_run_without_an_account(tmp_path, monkeypatch):
    """Walk it as the page says: in an empty folder, without a token, one block after another."""
    for name in [name for name in os.environ if name.startswith(("REPLICATE", "PYTEST"))]:
        monkeypatch.delenv(name)

    def follow(*arguments: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    picture, text, webhook_, test = blocks("first-run.md")
    program = tmp_path / "first.py"
    program.write_text(picture)
    assert follow("first.py") == ["iguana.svg"]
    assert (tmp_path / "iguana.svg").read_text().startswith("<svg ")
    program.write_text(picture + text)
    assert follow("first.py")[1:] == ["What iguanas dream of, nobody knows. "]
    program.write_text(picture + text + webhook_)
    _, _, genuine, changed = follow("first.py")
    assert re.fullmatch(r"succeeded http://127\.0\.0\.1:\d+/\S+/output\.svg", genuine)
    assert changed.startswith("refused: ")
    (tmp_path / "test_first.py").write_text(test)
    assert "1 passed" in follow("-m", "pytest", "-p", "no:cacheprovider")[-1]


def test_each_step_from_the_readme_is_read_in_five_minutes():
    """The README to its link, the page's beginning, and the sections that a step needs."""
    to_the_link = (ROOT / "README.md").read_text().partition("## Five examples")[0]
    assert "[The first run without one][first run]" in to_the_link
    beginning, *sections = re.split(r"^## ", (DOCS / "first-run.md").read_text(), flags=re.M)
    # The text and the webhook are appended to the first program; the test stands alone.
    for needed in (sections[:1], sections[:2], [sections[0], sections[2]], sections[3:]):
        words = "".join([to_the_link, beginning, *needed]).split()
        assert len(words) < READ * MINUTES, needed[-1].splitlines()[0]


def test_the_page_on_networks(service, monkeypatch):
    names = run(blocks("network.md"), "network.md")
    names.client.base_url = service.base_url
    assert names.client.accounts.current().username


def test_the_page_on_tests_and_tracing(service, pytester_like):
    tests, *programs = blocks("coming-from/tests-and-tracing.md")
    run(["from replicate_rs import Replicate", *programs], "tests-and-tracing.md")
    pytester_like(tests, passed=2)


# Frameworks


def framework(name: str) -> SimpleNamespace:
    return run(blocks(f"frameworks/{name}.md"), name)


def test_fastapi(service):
    testclient = pytest.importorskip("fastapi.testclient")
    page = framework("fastapi")
    with testclient.TestClient(page.app) as client:
        assert client.get("/picture", params={"prompt": "x"}).json()["url"].startswith("http")
        assert "Llamas" in client.get("/chat", params={"prompt": "x"}).text


def test_flask(service):
    pytest.importorskip("flask")
    client = framework("flask").app.test_client()
    sent = client.post("/caption", data={"image": (io.BytesIO(b"123"), "a.png")})
    assert sent.get_json() == {"caption": "3 bytes"}
    assert b"Llamas" in client.get("/chat?prompt=x").get_data()


def test_django(service):
    settings = pytest.importorskip("django.conf").settings
    if not settings.configured:
        settings.configure(DEFAULT_CHARSET="utf-8")
    requests = importlib.import_module("django.test").RequestFactory()
    page = framework("django")
    image = importlib.import_module("django.core.files.uploadedfile").SimpleUploadedFile(
        "a.png", b"123"
    )
    assert json.loads(page.caption(requests.post("/", {"image": image})).content) == {
        "caption": "3 bytes"
    }
    answer = asyncio.run(page.picture(requests.get("/", {"prompt": "x"})))
    assert json.loads(answer.content)["url"].startswith("http")
    assert b"Llamas" in b"".join(page.chat(requests.get("/", {"prompt": "x"})))


def test_celery(service):
    pytest.importorskip("celery")
    page = framework("celery")
    assert page.paint.apply(args=["an iguana"]).get() == "an-iguana.webp"
    assert Path("an-iguana.webp").read_bytes() == PNG


def test_aws_lambda(service):
    image = "data:image/png;base64,QUJD"
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 30_000)
    assert framework("aws-lambda").handler({"url": image}, context) == {"caption": "3 bytes"}


# Coming from


@pytest.mark.parametrize("name", ["replicate-1.md", "replicate-2.md", "node.md"])
def test_what_people_do_first(service, name):
    _, programs = sides(name, "js" if name == "node.md" else "python")
    run(programs, name)


def test_the_same_with_1_0_7(service):
    pytest.importorskip("replicate")
    # The official clients take no URL of this machine for a file.
    service.settings.files = "data"
    programs, _ = sides("replicate-1.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(programs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_same_with_2_0_is_python():
    """2.0 is not installed here; the names of its methods are those of `test_surfaces.py`."""
    programs, _ = sides("replicate-2.md", "python")
    for program in programs:
        ast.parse(program)


@pytest.mark.skipif(not (NODE / "replicate").exists(), reason="the Node client is not installed")
def test_the_same_with_node(service, tmp_path):
    service.settings.files = "data"
    programs, _ = sides("node.md", "js")
    text = "\n".join(programs).replace(
        "new Replicate()", "new Replicate({ baseUrl: process.env.REPLICATE_BASE_URL })"
    )
    (tmp_path / "node_modules").symlink_to(NODE)
    (tmp_path / "page.mjs").write_text(text)
    done = subprocess.run(
        [shutil.which("node"), "page.mjs"],
        cwd=tmp_path,
        env=os.environ | {"REPLICATE_BASE_URL": service.base_url},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["replicate-1.md", "replicate-2.md", "node.md"])
def test_a_page_begins_with_ten_differences(name):
    begin = (PAIRS / name).read_text().partition("\n## ")[0]
    assert re.findall(r"^(\d+)\. ", begin, re.MULTILINE) == [str(each) for each in range(1, 11)]


# Errors


def errors() -> list[str]:
    found = [*exceptions.__all__]
    found += [
        name
        for name, value in vars(webhook).items()
        if inspect.isclass(value) and issubclass(value, webhook.WebhookValidationError)
    ]
    return found


@pytest.mark.parametrize("name", errors())
def test_an_error_is_explained_and_has_its_place_in_the_reference(name):
    text = (DOCS / "errors.md").read_text()
    (section,) = re.findall(rf"^### `{name}`\n\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    link = re.match(
        r"\[Reference\]\(reference/(\w+\.md)#replicate_rs\.(?:\w+\.)?(\w+)\)\. ", section
    )
    assert link[2] == name
    page = (DOCS / "reference" / link[1]).read_text()
    assert f"::: replicate_rs.{name}\n" in page or "::: replicate_rs.exceptions\n" in page
    assert len(section.partition("). ")[2].split()) > 8


@pytest.mark.parametrize("name", exceptions.__all__)
def test_a_docstring_of_an_error_says_more_than_its_status(name):
    assert len(inspect.getdoc(getattr(exceptions, name)).split()) > 5


# The site


def test_every_page_is_in_the_navigation():
    pages = {str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md")}
    listed = set(re.findall(r"^ +- (?:.*: )?([\w/.-]+\.md)$", SITE, re.MULTILINE))
    missing = sorted(pages - listed)
    assert missing == []


def test_tools_of_the_site_are_pinned():
    lines = (ROOT / "tools" / "requirements-docs.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines if not line.startswith("#"))


def test_warnings_end_the_build():
    """With ``--quiet``, mkdocs drops warnings before it counts them."""
    assert re.search(r"^strict: true$", SITE, re.MULTILINE)
    (line,) = re.findall(r"^\t.*mkdocs build.*$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line == "\t.docs/bin/mkdocs build"
