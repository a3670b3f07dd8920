"""Webhooks for tests: signed as Replicate signs them, and the examples that receive them."""

import importlib.util
import sys
import time
from functools import cache
from pathlib import Path

from replicate_rs import sign_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def signed(body, *, id="msg_1", age=0, secret=SECRET):
    """The headers of a webhook that was sent some seconds ago."""
    stamp = str(int(time.time()) - age)
    return {
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": sign_webhook(secret, id, stamp, body),
    }


@cache
def example(name):
    """One of the examples, as a module.

    It is imported without a token and without a server: an import asks for nothing.
    """
    path = Path(__file__).parent.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    # Django finds its routes by the module's name.
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
