"""Paint 200 tiles with a journal: started again, it goes on where it was.

    python examples/many.py FOLDER

It needs a server that has the model "acme/tile" (``python -m replicate_rs.local
examples/models.py``), and its `REPLICATE_BASE_URL` and `REPLICATE_API_TOKEN`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import replicate_rs as replicate

COUNT = 200


def main() -> None:
    """Run the model on all inputs, and print a line for each result."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    inputs = ((f"tile-{number:03}", {"hue": number}) for number in range(COUNT))
    results = replicate.map(
        "acme/tile", inputs, journal=folder / "runs.db", save_to=folder / "tiles", concurrency=64
    )
    for result in results:
        print("journal" if result.from_journal else "run", result.key, flush=True)


if __name__ == "__main__":
    main()
