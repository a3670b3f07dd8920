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
PATH = re.compile(r"`([\w.*-]+(?:/[\w.*-]+)*(?:/|\.(?:py|pyi|rs|toml|md)))`")


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def without_code(path):
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path):
    """Return the anchors of a document's headings, as GitHub creates them."""
    headings = re.findall(r"^#+ (.*)$", without_code(path), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_to_files_and_headings(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(path)):
        if link.startswith(("https:", "http:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


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
