"""The ways to fetch an output file, with either client."""

from __future__ import annotations

import base64
import hashlib

from support.hosts import CONTENT

SHA256 = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
TENTHS = tuple(len(CONTENT) * n // 10 for n in range(1, 10))


def read(both, output, *args, **options):
    return both(lambda: (output.aread if both.is_async else output.read)(*args, **options))


def save(both, output, *args, **options):
    return both(lambda: (output.asave if both.is_async else output.save)(*args, **options))


def chunks(both, output, **options):
    return both(lambda: (output.achunks if both.is_async else output.chunks)(**options))


def names(folder):
    return sorted(each.name for each in folder.iterdir())
