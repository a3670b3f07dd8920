"""Run the notebooks of examples/ on a local server, and write or compare their outputs.

    python tools/notebooks.py            # writes outputs that differ
    python tools/notebooks.py --check    # fails where they differ

Times, ids, ports and paths may differ.
"""

from __future__ import annotations

import os
import re
import sys
import zlib
from base64 import b64decode
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
# Seconds for each cell.
TIMEOUT = 60
# What differs from one run to the next, and what is compared instead.
VARYING = (
    (r"data:image/png;base64,([A-Za-z0-9+/=]+)", lambda found: f"PICTURE-{pixels_of(found[1])}"),
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"/pbxt/[^/\"'<]+/", "/pbxt/FILE/"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b[0-9a-z]{26}\b", "ID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"\b\d+:\d\d:\d\d\b", "DURATION"),
    (r"(?:/[^/\s\"'<]+)*/notebook-[^/\s\"'<]+", "FOLDER"),
    (r'value="(\d+)" max="\1"', 'value="ALL" max="ALL"'),
    # Sizes of compressed pictures depend on the version of zlib.
    (r"\b\d+(?:\.\d+)? k?B\b", "SIZE"),
    (r"\b[\d,]+(?:\.\d+)? s\b", "SECONDS"),
    (r"'(predict_time|total_time)': [\d.]+", r"'\1': NUMBER"),
    (r"\b(per minute|predict seconds) [\d,]+(?:\.\d+)?", r"\1 NUMBER"),
)


def main() -> None:
    """Run all notebooks, or those that are named."""
    arguments = sys.argv[1:]
    is_check = "--check" in arguments
    names = [each for each in arguments if each != "--check"]
    paths = [Path(each) for each in names] or sorted(EXAMPLES.glob("*.ipynb"))
    failed = [path.name for path in paths if not update(path, is_check=is_check)]
    if failed:
        sys.exit(f"{', '.join(failed)}: the outputs differ: make notebooks writes them")


def update(path: Path, *, is_check: bool) -> bool:
    """Run a notebook, and write it if its outputs differ; with `is_check`, return whether not."""
    saved: Any = nbformat.read(path, as_version=4)
    fresh = run(path)
    before, after = comparable(saved), comparable(fresh)
    if before == after:
        print(f"{path.name}: as before")
        return True
    if is_check:
        print(*unified_diff(before, after, "saved", "run now", lineterm=""), sep="\n")
        return False
    nbformat.write(fresh, path)
    print(f"{path.name}: written")
    return True


def run(path: Path) -> Any:
    """Return a notebook with the outputs of a run in a folder of its own."""
    notebook: Any = nbformat.read(path, as_version=4)
    with TemporaryDirectory(prefix="notebook-") as folder:
        # Settings of the user, and of a project around the folder, do not count.
        os.environ |= {
            "IPYTHONDIR": f"{folder}/.ipython",
            "JUPYTER_CONFIG_DIR": f"{folder}/.jupyter",
            "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(ROOT / "python")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for name in [each for each in os.environ if each.startswith("REPLICATE_")]:
            del os.environ[name]
        NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            config=Config({"KernelManager": sockets_in(folder)}),
            # The kernel warns that its sockets are without encryption; they are this user's.
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        ).execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def sockets_in(folder: str) -> dict[str, str]:
    """Return settings of a kernel whose sockets are files: a port can be taken by others."""
    if sys.platform == "win32":
        return {}
    return {"transport": "ipc", "connection_file": f"{folder}/.kernel.json"}


def comparable(notebook: Any) -> list[str]:
    """Return the cells and outputs of a notebook as lines, without what differs between runs."""
    lines: list[str] = []
    for number, cell in enumerate(notebook.cells):
        lines += [f"cell {number}: {cell.cell_type}", *cell.source.splitlines()]
        for output in cell.get("outputs", ()):
            lines.append(f"output: {output.output_type} {output.get('name', '')}")
            data = output.get("data", {"text": output.get("text", "")})
            for kind in sorted(data):
                # Each element of HTML on a line of its own.
                text = steady(str(data[kind])).replace("><", ">\n<")
                lines += [f"  {kind}", *text.splitlines()]
    return lines


def steady(text: str) -> str:
    """Return a text without what differs between runs."""
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text)
    return text


def pixels_of(encoded: str) -> str:
    """Return a digest of the pixels of a PNG, whose compression depends on the version of zlib."""
    content = b64decode(encoded)
    pixels, at = b"", 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        if content[at + 4 : at + 8] == b"IDAT":
            pixels += content[at + 8 : at + 8 + length]
        at += 12 + length
    return sha256(zlib.decompress(pixels)).hexdigest()[:16]


if __name__ == "__main__":
    main()
