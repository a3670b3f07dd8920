"""Programs whose start is measured: the import, and a first prediction."""

from __future__ import annotations

from typing import NamedTuple

from contenders import BETA, OURS, TOKEN


class Program(NamedTuple):
    """A program that fetches one prediction, as source code in two steps."""

    imports: str
    first: str | None = None
    """Assigns `status` and `id`; may use `origin` and `prediction_id`."""
    secure: str | None = None
    """The same over HTTPS, if the library does not read `SSL_CERT_FILE`. May also use `trusted`,
    the path of a file with the usual authorities and the server's certificate, and `certificate`,
    the path of the latter alone.
    """


_DECODED = "status, id = answer['status'], answer['id']"
_RECORD = "status, id = answer.status, answer.id"
_PATH = "f'{origin}/v1/predictions/{prediction_id}'"

PROGRAMS: dict[str, Program] = {
    # Not comparable with the others: modules are loaded when a name is first used.
    f"{OURS}, package only": Program("import replicate_rs"),
    OURS: Program(
        "from replicate_rs import AsyncReplicate, Replicate",
        f"answer = Replicate({TOKEN!r}, base_url=origin).predictions.get(prediction_id); {_RECORD}",
    ),
    "1.0.7": Program(
        "import replicate",
        f"answer = replicate.Client({TOKEN!r}, base_url=origin).predictions.get(prediction_id);"
        f" {_RECORD}",
    ),
    "2.0 beta": Program(
        f"import sys; sys.path.insert(0, {str(BETA)!r}); import replicate",
        f"answer = replicate.Replicate(bearer_token={TOKEN!r}, base_url=origin +"
        f" '/v1').predictions.get(prediction_id=prediction_id); {_RECORD}",
    ),
    "httpx": Program("import httpx", f"answer = httpx.Client().get({_PATH}).json(); {_DECODED}"),
    "pyreqwest": Program(
        "from pyreqwest.client import SyncClientBuilder",
        f"answer = SyncClientBuilder().build().get({_PATH}).build().send().json(); {_DECODED}",
        # It adds the certificate to the usual authorities.
        "added = SyncClientBuilder().add_root_certificate_pem(open(certificate, 'rb').read());"
        f" answer = added.build().get({_PATH}).build().send().json(); {_DECODED}",
    ),
    "primp": Program(
        "import primp",
        f"answer = primp.Client().get({_PATH}).json(); {_DECODED}",
        f"answer = primp.Client(ca_cert_file=trusted).get({_PATH}).json(); {_DECODED}",
    ),
    "aiohttp": Program("import aiohttp"),
}
