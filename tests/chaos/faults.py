"""All faults, by kind."""

from __future__ import annotations

from typing import NamedTuple

from chaos import (
    faults_connecting,
    faults_deadlines,
    faults_download,
    faults_encoding,
    faults_framing,
    faults_head,
    faults_json,
    faults_paths,
    faults_redirect,
    faults_retry,
    faults_run,
    faults_secrets,
    faults_status,
    faults_stream,
    faults_tls,
    faults_upload,
)
from chaos.fault import Fault


class Group(NamedTuple):
    """Faults of one kind."""

    title: str
    faults: list[Fault]
    examples: str
    """What can go wrong."""
    reaction: str
    """What the client does."""


GROUPS = [
    Group(
        "Connecting",
        faults_connecting.FAULTS,
        "no server, an unknown host, connections that are refused, reset, closed or never answered",
        "tries again where the server cannot have taken the request; else raises"
        " `APIConnectionError` or `APITimeoutError`. For a POST that may have arrived, the error"
        " says so",
    ),
    Group(
        "TLS",
        faults_tls.FAULTS,
        "certificates that are expired, self-signed, of another host or of an unknown authority;"
        " handshakes that break or stall",
        "sends nothing to a server that is not trusted; the `APIConnectionError` names the problem",
    ),
    Group(
        "Deadlines",
        faults_deadlines.FAULTS,
        "servers that send nothing, stop halfway, or send a byte at a time",
        "ends each wait at its limit; the `APITimeoutError` or `PredictionTimeout` names the phase",
    ),
    Group(
        "Retries",
        faults_retry.FAULTS,
        "lost responses, temporary errors, rate limits in every form",
        "repeats GET and DELETE; repeats a POST only after a 429 or if nothing was sent; obeys"
        " Retry-After up to a minute",
    ),
    Group(
        "Error responses",
        faults_status.FAULTS,
        "every error status, with bodies that are empty, huge, truncated or not JSON",
        "raises the class of the status, with a text that is safe to print",
    ),
    Group(
        "Response heads",
        faults_head.FAULTS,
        "invalid status lines, invalid, oversized and endless headers, extra responses",
        "accepts what HTTP allows, and raises `APIConnectionError` for the rest",
    ),
    Group(
        "Message framing",
        faults_framing.FAULTS,
        "wrong, missing or contradictory lengths and chunks",
        "never takes a truncated body for a whole one, nor extra bytes for the next response",
    ),
    Group(
        "Compression",
        faults_encoding.FAULTS,
        "corrupt, nested and unknown codings, compression bombs, endless bodies",
        "stops at `max_response_bytes` (64 MiB), and raises a clear error",
    ),
    Group(
        "JSON",
        faults_json.FAULTS,
        "invalid JSON, and JSON of another form than documented",
        "tolerates unknown, missing and null fields; raises `APIResponseValidationError` for a"
        " body that is not a prediction or a page",
    ),
    Group(
        "Redirects",
        faults_redirect.FAULTS,
        "loops, forbidden schemes, other origins",
        "follows at most 10 redirects, of a GET only, and sends the token to its own origin only",
    ),
    Group(
        "Runs",
        faults_run.FAULTS,
        "predictions that fail, are canceled, or have an unknown status; polls that break",
        "polls until the end is known; the error carries the prediction",
    ),
    Group(
        "Event streams",
        faults_stream.FAULTS,
        "streams that break off, fall silent, never end, or are no event stream",
        "resumes where the stream broke off, or reads the rest from the prediction, and else raises"
        " `StreamInterrupted`: no text is lost or repeated unnoticed",
    ),
    Group(
        "Uploads",
        faults_upload.FAULTS,
        "connections that break, and errors while the file is sent",
        "raises the error of the server; a run sends the file inline if the server"
        " fails to store it",
    ),
    Group(
        "Downloads",
        faults_download.FAULTS,
        "files that break off, change, or do not match their length or digest",
        "continues with a Range request, checks length and digest, and leaves no partial file",
    ),
    Group(
        "Secrets",
        faults_secrets.FAULTS,
        "a token that is echoed in responses, and malformed tokens and headers",
        "keeps the token out of errors, and refuses a malformed one before anything is sent",
    ),
    Group(
        "Paths",
        faults_paths.FAULTS,
        "ids and names with slashes, dots, control characters",
        "encodes each as one path segment, or raises ValueError",
    ),
]
FAULTS = [fault for group in GROUPS for fault in group.faults]
