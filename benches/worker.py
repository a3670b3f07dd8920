"""Measure one contender at one job: ``worker.py '{"job": …}'`` prints a sample as a line of JSON.

Each measurement has a process of its own. Any error ends the process with a traceback.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jobs.files import data_uri, iterate, read, save, save_all, stalls, upload
from jobs.growth import scale_body, scale_event, scale_page
from jobs.many_streams import many, memory
from jobs.maps import map_memory, map_reopen, run_many
from jobs.predictions import client_memory, get_async, get_sync, page, page_auto
from jobs.runs import run_async, run_memory, run_sync
from jobs.sampling import Sample, Task
from jobs.startup import startup
from jobs.streams import big, chunks_or_blocks, decode, first, parser
from jobs.webhooks import fastapi, many_webhooks, rust, unwrap, verify

if TYPE_CHECKING:
    from collections.abc import Callable


def relay(task: Task) -> Sample:
    """Relay streams, at an interval or at full speed."""
    # Importing FastAPI takes longer than some jobs.
    from jobs.relays import fast, paced

    return paced(task) if task.interval else fast(task)


JOBS: dict[str, Callable[[Task], Sample]] = {
    "get_async": get_async,
    "get_sync": get_sync,
    "page": page,
    "page_auto": page_auto,
    "run_async": run_async,
    "run_sync": run_sync,
    "run_memory": run_memory,
    "map_run": run_many,
    "map_memory": map_memory,
    "map_reopen": map_reopen,
    "scale_flight": get_async,
    "scale_page": scale_page,
    "scale_event": scale_event,
    "scale_body": scale_body,
    "import": startup,
    "clients": client_memory,
    "sse_parser": parser,
    "sse_decode": decode,
    "sse_blocks": chunks_or_blocks,
    "sse_chunks": chunks_or_blocks,
    "sse_first": first,
    "sse_many": many,
    "sse_big": big,
    "sse_memory": memory,
    "relay_paced": relay,
    "relay_fast": relay,
    "files_save": save,
    "files_iterate": iterate,
    "files_read": read,
    "files_upload": upload,
    "files_ticker": stalls,
    "files_data_uri": data_uri,
    "files_save_all": save_all,
    "webhook_verify": verify,
    "webhook_unwrap": unwrap,
    "webhook_many": many_webhooks,
    "webhook_fastapi": fastapi,
    "webhook_rust": rust,
}


def main() -> None:
    """Run the task in the first argument."""
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    task = Task(**arguments)
    print(json.dumps(asdict(JOBS[task.job](task))), flush=True)


if __name__ == "__main__":
    main()
