"""All faults, by group."""

from __future__ import annotations

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

GROUPS = {
    "connecting": faults_connecting.FAULTS,
    "TLS": faults_tls.FAULTS,
    "deadlines": faults_deadlines.FAULTS,
    "repeating": faults_retry.FAULTS,
    "status": faults_status.FAULTS,
    "heads": faults_head.FAULTS,
    "framing": faults_framing.FAULTS,
    "codings": faults_encoding.FAULTS,
    "JSON": faults_json.FAULTS,
    "redirects": faults_redirect.FAULTS,
    "runs": faults_run.FAULTS,
    "streams": faults_stream.FAULTS,
    "uploads": faults_upload.FAULTS,
    "downloads": faults_download.FAULTS,
    "secrets": faults_secrets.FAULTS,
    "paths": faults_paths.FAULTS,
}
FAULTS = [fault for faults in GROUPS.values() for fault in faults]
