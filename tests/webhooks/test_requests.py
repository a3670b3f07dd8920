"""Verification of the requests of web frameworks, none of which the library imports."""

import asyncio
import gc
from contextlib import closing, contextmanager

import aiohttp.test_utils
import aiohttp.web
import fastapi
import flask
import httpx
import litestar
import pytest
import requests
import starlette.applications
import starlette.requests
import starlette.responses
import starlette.routing
import werkzeug.test
from django.test import RequestFactory

from conftest import script
from replicate_rs import avalidate_webhook, validate_webhook
from replicate_rs.webhook import MissingWebhookHeaderError
from support.webhooks import SECRET, example, signed

# Configures Django, which is possible once in a process.
example("webhook_django")

URL = "http://test/webhooks"


@contextmanager
def of_flask(headers, body):
    with flask.Flask(__name__).test_request_context("/", method="POST", headers=headers, data=body):
        # The proxy that views use.
        yield flask.request, {}


@contextmanager
def of_werkzeug(headers, body):
    with closing(
        werkzeug.test.EnvironBuilder(method="POST", headers=headers, data=body)
    ) as builder:
        yield builder.get_request(), {}


@contextmanager
def of_wsgi(headers, body):
    with closing(werkzeug.test.EnvironBuilder(method="POST", headers=headers)) as builder:
        yield builder.get_environ(), {"body": body}


@contextmanager
def of_asgi(headers, body):
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    yield {"type": "http", "method": "POST", "path": "/", "headers": pairs}, {"body": body}


@contextmanager
def of_django(headers, body):
    yield RequestFactory().post("/", body, "application/json", headers=headers), {}


@contextmanager
def of_httpx(headers, body):
    yield httpx.Request("POST", URL, headers=headers, content=body), {}


@contextmanager
def of_requests(headers, body):
    yield requests.Request("POST", URL, headers=headers, data=body).prepare(), {}


def cases():
    """Yield genuine, forged and incomplete webhooks with the expected outcome."""
    body = b'{"id": "p1"}'
    headers = signed(body)
    yield headers, body, True
    yield headers, body.replace(b"p", b"q"), False
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        yield (
            {key: value for key, value in headers.items() if key != name},
            body,
            MissingWebhookHeaderError,
        )


def outcome(validate):
    try:
        return validate()
    except ValueError as error:
        return type(error)


@pytest.mark.parametrize(
    "given", [of_flask, of_werkzeug, of_wsgi, of_asgi, of_django, of_httpx, of_requests]
)
def test_a_request_is_judged(given):
    for headers, body, expected in cases():
        with given(headers, body) as (request, more):
            assert outcome(lambda: validate_webhook(request, SECRET, **more)) is expected
            assert (
                outcome(lambda: asyncio.run(avalidate_webhook(request, SECRET, **more))) is expected
            )


async def outcome_of_awaited(request):
    """Return the outcome for a request whose body has to be awaited."""
    with pytest.raises(TypeError, match="await avalidate_webhook"):
        validate_webhook(request, SECRET)
    # Python would warn now of a coroutine that was not awaited.
    gc.collect(0)
    try:
        return str(await avalidate_webhook(request, SECRET))
    except ValueError as error:
        return type(error).__name__


def of_starlette():
    async def endpoint(request):
        assert type(request) is starlette.requests.Request
        return starlette.responses.PlainTextResponse(await outcome_of_awaited(request))

    return starlette.applications.Starlette(
        routes=[starlette.routing.Route("/webhooks", endpoint, methods=["POST"])]
    )


def of_fastapi():
    app = fastapi.FastAPI()

    @app.post("/webhooks", response_class=starlette.responses.PlainTextResponse)
    async def endpoint(request: fastapi.Request) -> str:
        return await outcome_of_awaited(request)

    return app


def of_litestar():
    @litestar.post("/webhooks", media_type=litestar.MediaType.TEXT)
    async def endpoint(request: litestar.Request) -> str:
        return await outcome_of_awaited(request)

    return litestar.Litestar([endpoint], openapi_config=None)


@pytest.mark.parametrize("app", [of_starlette, of_fastapi, of_litestar])
def test_a_request_of_an_asgi_framework_is_judged(app):
    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app())) as client:
            return [
                (await client.post(URL, headers=headers, content=body)).text
                for headers, body, _ in cases()
            ]

    assert asyncio.run(ask()) == [
        getattr(expected, "__name__", str(expected)) for *_, expected in cases()
    ]


def test_a_request_of_aiohttp_is_judged():
    async def endpoint(request):
        return aiohttp.web.Response(text=await outcome_of_awaited(request))

    async def ask():
        app = aiohttp.web.Application()
        app.router.add_post("/webhooks", endpoint)
        answers = []
        async with aiohttp.test_utils.TestClient(aiohttp.test_utils.TestServer(app)) as client:
            for headers, body, _ in cases():
                async with client.post("/webhooks", headers=headers, data=body) as answer:
                    answers.append(await answer.text())
        return answers

    assert asyncio.run(ask()) == [
        getattr(expected, "__name__", str(expected)) for *_, expected in cases()
    ]


def test_the_library_imports_no_framework():
    done = script("""
        import sys
        import replicate_rs.webhook
        import replicate_rs._webhooks.requests, replicate_rs._webhooks.verifier
        frameworks = ("aiohttp", "django", "fastapi", "flask", "httpx", "litestar", "requests")
        frameworks += ("starlette", "werkzeug")
        print([name for name in frameworks if name in sys.modules])
    """)
    assert (done.stdout, done.stderr) == ("[]\n", "")
