"""A FastAPI service that relays a language model's stream to browsers, token by token.

    export REPLICATE_API_TOKEN=r8_…
    uvicorn --app-dir examples --timeout-graceful-shutdown 3 streaming_service:app
    curl -N 'http://127.0.0.1:8000/chat?prompt=Write+a+haiku+about+llamas'

In a browser, use ``new EventSource("/chat?prompt=…")``, and close it at the event ``done``. A
browser that disconnects cancels the prediction.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from replicate_rs import AsyncReplicate, ReplicateError

MODEL = os.environ.get("MODEL", "meta/meta-llama-3-8b-instruct")

# One client for all requests, which share its connections.
client = AsyncReplicate()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
    """Cancel the predictions that still run when the service stops."""
    yield
    await client.aclose()


app = FastAPI(lifespan=lifespan)


@app.get("/chat")
async def chat(prompt: str) -> StreamingResponse:
    """Stream the model's answer as server-sent events."""
    try:
        relay = await client.relay(MODEL, {"prompt": prompt})
    except ReplicateError as error:
        # No part of the response was sent yet, so it can still have an error status.
        raise HTTPException(error.status or 502, error.detail) from error
    return StreamingResponse(relay, headers=relay.headers)


@app.get("/answer")
async def answer(prompt: str) -> str:
    """Return the whole answer at once."""
    return await client.text_stream(MODEL, {"prompt": prompt}).collect()
