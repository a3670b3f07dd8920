"""Requests to ASGI applications, without a server."""

import asyncio
import json


def asked(app, method, path, body=None):
    """What an ASGI application answers."""
    sent = []
    given = b"" if body is None else json.dumps(body).encode()

    async def receive():
        return {"type": "http.request", "body": given}

    async def send(message):
        sent.append(message)

    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(given)).encode()),
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(each.get("body", b"") for each in sent))
