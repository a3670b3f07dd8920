"""Hooks of mkdocs: files of the root as pages, links to the repository, and the list of all names.

The same documents are read on GitHub, so that their links are those of files. Here a link to a
document becomes a link to its page, and a link to any other file one to the repository.
"""

from __future__ import annotations

import ast
import logging
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import docs_api
import griffe
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

LOG = logging.getLogger("mkdocs.plugins.reference")
ROOT = docs_api.ROOT
# Documents of the root, and their pages.
PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
NAMES = "reference/names.md"
BLOB = f"{docs_api.REPOSITORY}/blob/main/"
RAW = "https://raw.githubusercontent.com/replicate-rs/replicate-rs/main/"
# Inline links, and those that are stated at the end of a document.
LINK = re.compile(r"(\]\(|^\[[^\]]+\]: )([^)\s]+)", re.MULTILINE)
FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)

OTHER_NAMES = """\
## Other names of arguments

Some arguments have a second name, from another client of Replicate's. Programs may use either;
type checkers know the first.

| method | argument | also |
|---|---|---|
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents of the root."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Let links lead to pages of the site, or into the repository; list all names on their page."""
    if page.file.src_uri == NAMES:
        markdown = f"{markdown}\n{_list_names()}"
    # Badges are pictures of another host.
    markdown = re.sub(r"^\[!\[.*\n", "", markdown, flags=re.MULTILINE)
    at = PurePosixPath(page.file.src_uri)
    source = {page: name for name, page in PAGES.items()}.get(str(at), f"docs/{at}")

    def link(match: re.Match[str]) -> str:
        return match[1] + _target(match[2], PurePosixPath(source), at, files)

    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(link, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(link, markdown[end:])])


def _target(link: str, source: PurePosixPath, at: PurePosixPath, files: Files) -> str:
    """Return a link of a document as its page has it."""
    path, mark, anchor = link.partition("#")
    for prefix in (BLOB, RAW):
        if path.startswith(prefix):
            path = path.removeprefix(prefix)
            break
    else:
        if not path or ":" in path:
            return link
        path = os.path.normpath(source.parent / path)
    page = PAGES.get(path, path.removeprefix("docs/"))
    if (path in PAGES or path.startswith("docs/")) and files.get_file_from_path(page):
        return f"{os.path.relpath(page, at.parent)}{mark}{anchor}"
    if not (ROOT / path).exists():
        LOG.warning("%s: the link %r leads nowhere", source, link)
    return f"{BLOB}{path}{mark}{anchor}"


# All names


def _list_names() -> str:
    """Return the page of all names; what is not described is a warning, which ends the build."""
    package = docs_api.load()
    groups: dict[str, list[str]] = {}
    for path in docs_api.public_names():
        if path.startswith("replicate."):
            continue
        place = docs_api.identify(package, path)
        if place is None:
            if not _is_module(path):
                LOG.warning("the public name %s is not in the package", path)
            continue
        _check(package, path, place)
        owner, _, name = path.rpartition(".")
        groups.setdefault(owner, []).append(f"[`{name}`][{place}]")
    lists = [f"## `{owner}`\n\n{' · '.join(names)}\n" for owner, names in sorted(groups.items())]
    return "\n".join([*lists, OTHER_NAMES + _list_aliases()])


def _is_module(path: str) -> bool:
    parts = path.split(".")
    return (ROOT / "python" / Path(*parts[:-1]) / f"{parts[-1]}.py").exists()


def _check(package: griffe.Module, path: str, place: str) -> None:
    try:
        described = package[place.removeprefix(f"{docs_api.PACKAGE}.")]
    except KeyError:
        # An async twin, which the description of its method names.
        return
    if described.docstring is None or not described.docstring.value.strip():
        LOG.warning("%s has no description (%s)", path, place)
    elif missing := docs_api.undescribed(described):
        LOG.warning("%s does not describe its parameters %s", path, ", ".join(missing))


def _list_aliases() -> str:
    """Return the rows of the second names of arguments, from the table that calls use."""
    path = ROOT / "python" / "replicate_rs" / "_base" / "arguments.py"
    wanted = {"ALIASES"}
    values: dict[str, Any] = {}
    for node in ast.parse(path.read_text()).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            (target,) = node.targets
        if isinstance(target, ast.Name) and (target.id in wanted or target.id.startswith("_")):
            code = ast.Expression(node.value)  # type: ignore[attr-defined]  # both have a value
            values[target.id] = eval(compile(code, str(path), "eval"), {**values})
    rows = [
        f"| `{method}` | {_code(names)} | {_code(others)} |"
        for method, aliases in sorted(values["ALIASES"].items())
        for names, others in aliases
    ]
    return "\n".join([*rows, ""])


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
