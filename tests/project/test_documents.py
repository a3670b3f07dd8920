"""Links, paths and examples in README.md, the other documents of the root, and docs/."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "replicate_rs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benches/*.md")])
# Documents that say where code and tests are, in code spans.
MAPS = ("CONTRIBUTING.md", "SECURITY.md", "docs/design.md")
# The package index shows README.md, so that its links are complete.
REPOSITORY = "https://github.com/replicate-rs/replicate-rs/blob/main/"
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


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_to_files_and_headings(path):
    for link in links(path):
        folder = ROOT if link.startswith(REPOSITORY) else path.parent
        link = link.removeprefix(REPOSITORY)
        if link.startswith(("https:", "http:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = folder / name if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_links_of_the_readme_lead_somewhere_on_the_package_index():
    assert [each for each in links(ROOT / "README.md") if not each.startswith("https:")] == []


@pytest.mark.parametrize("name", MAPS)
def test_paths_exist(name):
    for path in PATH.findall((ROOT / name).read_text()):
        roots = (ROOT, ROOT / "src", ROOT / "python", PACKAGE)
        assert any([*root.glob(path.rstrip("/"))] for root in roots), path


def examples():
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)


@pytest.mark.parametrize("code", examples(), ids=range(len(examples())))
def test_examples_import_names_that_exist(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("replicate_rs"):
            exec(compile(ast.Module([node], []), "README.md", "exec"), {})


def test_the_example_with_a_local_server_runs(capsys):
    (code,) = (each for each in examples() if "LocalReplicate" in each)
    exec(code, {})
    assert capsys.readouterr().out == "HI\n"
