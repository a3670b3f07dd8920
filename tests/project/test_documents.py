"""Links, paths and examples in README.md, the other documents of the root, and docs/."""

import ast
import re
from pathlib import Path

import pytest

from replicate_rs.local import LocalReplicate, RateLimits, Settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "replicate_rs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benches/*.md")])
# Documents that say where code and tests are, in code spans.
MAPS = ("CONTRIBUTING.md", "SECURITY.md", "docs/design.md")
# The package index shows README.md, so that its links are complete.
REPOSITORY = "https://github.com/replicate-rs/replicate-rs/blob/main/"
PICTURES = "https://raw.githubusercontent.com/replicate-rs/replicate-rs/main/"
PATH = re.compile(r"`([\w.*-]+(?:/[\w.*-]+)*(?:/|\.(?:py|pyi|rs|toml|md)))`")


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def without_code(path):
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def links(path):
    """Return the targets of a document's links, those that are stated at its end included."""
    text = without_code(path)
    stated = re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE)
    for label in re.findall(r"\]\[([^\]]+)\]", text):
        assert label in dict(stated), label
    return [*re.findall(r"\]\(([^)\s]+)\)", text), *(target for _, target in stated)]


def anchors(path):
    """Return the anchors of a document's headings, as GitHub creates them."""
    headings = re.findall(r"^#+ (.*)$", without_code(path), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]


def describes(path, name):
    """Return whether a page of the reference has a name's docstring; `make docs` is stricter."""
    described = re.findall(r"^::: (\S+)$", path.read_text(), re.MULTILINE)
    return any(f"{name}.".startswith(f"{each}.") for each in described)


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_to_files_and_headings(path):
    for link in links(path):
        folder = ROOT if link.startswith((REPOSITORY, PICTURES)) else path.parent
        link = link.removeprefix(REPOSITORY).removeprefix(PICTURES)
        if link.startswith(("https:", "http:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = folder / name if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target) or describes(target, anchor), link


def test_links_of_the_readme_lead_somewhere_on_the_package_index():
    assert [each for each in links(ROOT / "README.md") if not each.startswith("https:")] == []


@pytest.mark.parametrize("name", MAPS)
def test_paths_exist(name):
    for path in PATH.findall((ROOT / name).read_text()):
        roots = (ROOT, ROOT / "src", ROOT / "python", PACKAGE)
        assert any([*root.glob(path.rstrip("/"))] for root in roots), path


def examples(name="README.md"):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(), re.S | re.M)


@pytest.mark.parametrize("code", examples(), ids=range(len(examples())))
def test_examples_import_names_that_exist(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("replicate_rs"):
            exec(compile(ast.Module([node], []), "README.md", "exec"), {})


def test_many_at_once_survive_a_bad_prompt_and_a_rate_limit(capsys, monkeypatch, tmp_path):
    """Four of 34 runs wait for the limit, which they share, and one prompt is bad."""
    server = LocalReplicate(settings=Settings(rate_limits=RateLimits(create=30)))

    @server.model("black-forest-labs/flux-schnell")
    def draw(prompt: str) -> list[bytes]:
        if "dragon" in prompt:
            raise ValueError("there are no dragons")
        return [prompt.encode()]

    prompts = [f"an iguana, {number}/33" for number in range(1, 34)]
    prompts.insert(7, "a dragon")
    (code,) = (each for each in examples("docs/running.md") if "gather" in each)
    code, count = re.subn(r"^prompts = .*$", f"prompts = {prompts!r}", code, flags=re.MULTILINE)
    assert count == 1
    monkeypatch.chdir(tmp_path)
    with server:
        monkeypatch.setenv("REPLICATE_API_TOKEN", server.token)
        monkeypatch.setenv("REPLICATE_BASE_URL", server.base_url)
        exec(code, {})
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert len(files) == 33
    assert files["001-an-iguana-1-33.webp"] == "an iguana, 1/33"
    assert files["034-an-iguana-33-33.webp"] == "an iguana, 33/33"
    lines = capsys.readouterr().out.splitlines()
    assert lines[7] == "a dragon failed: there are no dragons"
    assert lines[8] == "an iguana, 8/33 -> 009-an-iguana-8-33.webp"
    assert len(lines) == 34
    assert 429 in [request.status for request in server.requests]


def test_the_example_with_a_local_server_runs(capsys):
    (code,) = (each for each in examples() if "LocalReplicate" in each)
    exec(code, {})
    assert capsys.readouterr().out == "HI\n"
