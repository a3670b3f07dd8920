"""Write docs/performance.md, its details and plots, and the targets in benches/README.md.

All figures come from the results of ``make bench`` and ``make bench-holds``; the same results give
the same bytes. ``make performance`` runs this program.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import holds
from report import results
from report.details import details_page
from report.losses import REASONS, read_reasons
from report.summary import summary_page
from report.tables import markdown
from report.targets import TARGETS, read_targets, target_cells

HERE = Path(__file__).parent
RESULT = HERE / "results" / "latest.json"
README = HERE / "README.md"
DOCS = HERE.parent / "docs"
# What stands around the table of targets in README.
START, END = "<!-- targets: written by `make performance` -->\n", "<!-- end of targets -->\n"


def targets_text(readme: str, result: results.Result) -> str:
    """Return the text of README with the table of targets of this result."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    table = "\n".join(markdown(target_cells(read_targets(TARGETS), result.sections)))
    return f"{before}{START}\n{table}\n\n{END}{after}"


def write(path: Path, docs: Path, readme: Path) -> None:
    """Write the pages, the plots and the targets from a results file.

    Plots of earlier results are removed.
    """
    result = results.read(path)
    delay = holds.lines(json.loads(holds.RESULT.read_text()))
    summary = summary_page(result, read_reasons(REASONS))
    details = details_page(result, delay)
    folder = docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, plot in (summary.plots | details.plots).items():
        (folder / name).write_text(plot)
    (docs / "performance.md").write_text(summary.text)
    (folder / "details.md").write_text(details.text)
    readme.write_text(targets_text(readme.read_text(), result))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        raise SystemExit(__doc__)
    write(RESULT, DOCS, README)
