"""The tools of universal-mcp-replicate, called through an MCP server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest


@pytest.fixture
def call(server, tmp_path, monkeypatch):
    """Return a function that calls a tool as an MCP client does."""
    # It creates a folder in the home directory when it is imported, and sends telemetry.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TELEMETRY_DISABLED", "true")
    monkeypatch.setenv("REPLICATE_API_KEY", server.token)
    monkeypatch.chdir(tmp_path)
    from universal_mcp.integrations import ApiKeyIntegration
    from universal_mcp.servers import SingleMCPServer
    from universal_mcp.stores import EnvironmentStore
    from universal_mcp_replicate.app import ReplicateApp

    app = ReplicateApp(
        integration=ApiKeyIntegration(name="REPLICATE_API_KEY", store=EnvironmentStore())
    )
    mcp = SingleMCPServer(app_instance=app)
    # One event loop for all calls, as in a server, so that the client keeps its connections.
    with asyncio.Runner() as runner:

        def call(name: str, **arguments: Any) -> Any:
            result = runner.run(mcp.call_tool(f"replicate_{name}", arguments))
            return result[0].text

        call.tools = [tool.name for tool in runner.run(mcp.list_tools())]
        yield call


@pytest.fixture
def refused():
    from universal_mcp.exceptions import ToolError

    return lambda match: pytest.raises(ToolError, match=match)


def test_all_tools_are_there(call):
    names = (
        "run",
        "submit_prediction",
        "get_prediction",
        "fetch_prediction_output",
        "cancel_prediction",
    )
    assert {*call.tools} == {
        f"replicate_{name}" for name in (*names, "upload_file", "generate_image")
    }


def test_run(server, call):
    assert call("run", model_ref="acme/shout", inputs={"prompt": "hello"}) == "HELLO"
    assert call("run", model_ref="acme/llama", inputs={"prompt": "to be"}) == "['to ', 'be ']"
    assert call("run", model_ref="acme/painter", inputs={"prompt": "red"}).startswith(
        server.output_origin
    )
    assert len(server.created) == 3


def test_submit_and_fetch(server, call):
    for model in (
        "acme/shout",
        f"acme/shout:{server.version('acme/shout')}",
        server.version("acme/shout"),
    ):
        id = call("submit_prediction", model_ref=model, inputs={"prompt": "hello"})
        assert call("fetch_prediction_output", prediction_id=id) == "HELLO"
        assert id in call("get_prediction", prediction_id=id)
    assert len(server.created) == 3


def test_webhook_options(server, call):
    call(
        "submit_prediction",
        model_ref="acme/shout",
        inputs={"prompt": "hello"},
        webhook="http://127.0.0.1:9/hook",
        webhook_events_filter=["completed"],
    )
    body = json.loads(server.created[0].body)
    assert (body["webhook"], body["webhook_events_filter"]) == (
        "http://127.0.0.1:9/hook",
        ["completed"],
    )


def test_cancel(server, call, refused):
    id = call("submit_prediction", model_ref="acme/talker", inputs={"prompt": "la"})
    call("cancel_prediction", prediction_id=id)
    with refused("was canceled"):
        call("fetch_prediction_output", prediction_id=id)
    assert len(server.cancelled) == 1
    # A prediction that has ended is not cancelled.
    call("cancel_prediction", prediction_id=id)
    assert len(server.cancelled) == 1


def test_upload(server, call, tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(bytes(range(256)))
    url = call("upload_file", file_path=str(path))
    assert url.startswith(server.base_url)
    assert (
        call("run", model_ref="acme/look", inputs={"image": url})
        == f"256 bytes, {sum(range(256))} in all"
    )
    assert len(server.uploaded) == 1


def test_pictures_are_written(server, call, tmp_path):
    from PIL import Image

    extra = {"width": None, "height": None, "num_outputs": None}
    call("generate_image", prompt="red lime", model_ref="acme/album", **extra)
    colors = [Image.open(tmp_path / f"output_{number}.png").getpixel((0, 0)) for number in (0, 1)]
    assert colors == [(255, 0, 0), (0, 255, 0)]
    assert len(server.created) == 1


def test_failures(server, call, refused):
    with refused("Model acme/broken failed with error: out of memory"):
        call("run", model_ref="acme/broken", inputs={"prompt": "hello"})
    id = call("submit_prediction", model_ref="acme/broken", inputs={"prompt": "hello"})
    with refused(f"Prediction {id} failed: out of memory"):
        call("fetch_prediction_output", prediction_id=id)
    with refused("Failed to get status for Replicate prediction nothing: "):
        call("get_prediction", prediction_id="nothing")
    assert len(server.created) == 2
