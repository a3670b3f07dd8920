"""Requests to ASGI applications without a server."""

import asyncio
import json


def send_request(app, method, path, body=None):
    """Return the status and the decoded JSON body of an application's response."""
    sent = []
    content = b"" if body is None else json.dumps(body).encode()

    async def receive():
        return {"type": "http.request", "body": content}

    async def send(message):
        sent.append(message)

    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
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
