"""How each library does each job, in the plainest way that its documentation shows.

The runner reads the contenders' names from here and has none of the libraries installed, so each
library is imported where it is used. Where a library limits the number of connections and has an
option for it, the limit is lifted: "512 in flight" must mean 512. (replicate 1.0.7 has no such
option, and uses at most 100 connections.)

A contender is a context manager that takes the server's origin, creates a client and yields the
function to measure.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

BETA = Path(__file__).parents[2] / ".bench" / "beta"
# Every contender whose name begins so is this library, used in different ways.
OURS = "replicate-rs"
# Contenders measured in a process of their own.
NODE, C_PROGRAM = "Node", "C program"
# The same requests, without an HTTP library.
BARE_SOCKETS = "bare sockets"
OPENSSL_SPEED = "openssl speed"
# A service that does not verify webhooks.
UNVERIFIED = "without verification"
# Distributions whose versions a result names.
PACKAGES = (
    "replicate-rs",
    "replicate",
    "httpx",
    "httpx-sse",
    "aiohttp",
    "pyreqwest",
    "wreq",
    "primp",
    "urllib3",
    "requests",
    "openai",
    "svix",
    "standardwebhooks",
    "fastapi",
    "uvicorn",
)
# Threads of a job at most, each of which needs a connection.
MAX_THREADS = 64
TOKEN = "bench"
# The prediction that the server answers (server/prediction.json).
PREDICTION_ID = "gm3qorzdhgbfurvjtvhg6dckhu"


def import_beta() -> Any:
    """Import `replicate` 2.0 beta, whose package has the same name as that of 1.0.7."""
    sys.path.insert(0, str(BETA))
    import replicate

    return replicate


def check_prediction(prediction: Any) -> None:
    """Raise ValueError unless this is the prediction that the server answers."""
    found = (
        (prediction["id"], prediction["status"])
        if isinstance(prediction, dict)
        else (prediction.id, prediction.status)
    )
    check_found(found)


def check_found(found: object) -> None:
    """Raise ValueError unless this is the id and the status of that prediction."""
    if found != (PREDICTION_ID, "succeeded"):
        raise ValueError(f"wrong answer: {found}")
