"""Files of cassettes: their form, what is left out of them, and what is wrong with them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from test_command import Command, run_pytest

from replicate_rs import Replicate
from replicate_rs.local import CassetteError, LocalReplicate
from support.cassettes import TOKEN, create_upstream, read_bytes, read_exchanges, recording
from support.wire import Wire, done, prediction, reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FIRST = "0001-get-predictions-p1.json"


@pytest.fixture
def cassette(tmp_path):
    """A cassette with one response."""
    with Wire(lambda _: reply(prediction(output="HI"))) as wire:
        with recording(tmp_path, wire.origin) as server:
            Replicate(TOKEN, base_url=server.base_url).predictions.get("p1")
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_file_has_a_request_and_its_response(cassette):
    assert sorted(each.name for each in cassette.iterdir()) == [FIRST, "cassette.json"]
    (exchange,) = read_exchanges(cassette)
    manifest = json.loads((cassette / "cassette.json").read_text())
    assert manifest == {
        "format": "replicate_rs cassette",
        "version": 1,
        "upstream": manifest["upstream"],
        "redact": [],
    }
    assert exchange["request"]["method"] == "GET"
    assert exchange["request"]["url"] == f"{manifest['upstream']}/v1/predictions/p1"
    assert exchange["request"]["headers"]["authorization"] == "[removed]"
    assert exchange["response"]["status"] == 200
    assert exchange["response"]["body"] == {
        "json": prediction(output="HI"),
        "style": exchange["response"]["body"]["style"],
    }
    assert exchange["repeat"] is True


def test_recording_replaces_the_cassette_and_leaves_other_files(cassette):
    (cassette / "README.md").write_text("mine")
    with Wire(lambda _: reply([])) as wire, recording(cassette, wire.origin) as server:
        Replicate(TOKEN, base_url=server.base_url).hardware.list()
    names = sorted(each.name for each in cassette.iterdir())
    assert names == ["0001-get-hardware.json", "README.md", "cassette.json"]


def test_no_secret_of_a_recording_is_in_a_file(tmp_path):
    signed = "?expiry=1&signature=5iGn4tUr3&x=1"

    def script(seen):
        if "/secret" in seen.path:
            return reply({"key": SECRET})
        if seen.path.startswith("/stream"):
            events = f'event: logs\ndata: {TOKEN}\n\nevent: output\ndata: {{"ssn": "078-05"}}\n\n'
            return reply(events.encode() + done(), kind="text/event-stream")
        if seen.path.startswith("/out"):
            return reply(os.urandom(300_000) + f"{TOKEN} {SECRET}".encode(), kind="image/png")
        if seen.path.endswith("/files"):
            return reply({"id": "f", "urls": {"get": f"{wire.origin}/v1/files/f{signed}"}}, 201)
        return reply(
            prediction(
                id="p1",
                output=f"{wire.origin}/out/a.png{signed}",
                input={"ssn": "078-05", "token": TOKEN},
                logs=f"using {TOKEN}",
                urls={"stream": f"{wire.origin}/stream/1{signed}"},
            ),
            201,
            headers=f"Set-Cookie: sid=c00kie5\r\nX-Echo: {TOKEN}\r\nX-Plan: pl4n\r\n",
        )

    def use(server, token):
        client = Replicate(token, base_url=server.base_url)
        made = client.predictions.create(
            model="a/b",
            input={"ssn": "078-05", "token": TOKEN},
            webhook="https://example.com/?signature=5iGn4tUr3",
        )
        stream = [each.event for each in made.stream()]
        url = made.output if isinstance(made.output, str) else made.output.url
        file = client.request(url).body
        client.files.create(
            b"x", filename="x.txt", metadata={"ssn": "078-05", "note": f"of {TOKEN}"}
        )
        client.files.create(os.urandom(10) + TOKEN.encode() + b"\xff", filename="y.bin")
        return client.webhooks.default.secret().key, stream, len(file)

    with Wire(script) as wire:
        redact = ["Signature", "ssn", "x-plan"]
        with recording(tmp_path, wire.origin, redact=redact) as server:
            recorded = use(server, TOKEN)
    # The client got everything.
    assert recorded == (SECRET, ["logs", "output", "done"], 300_000 + len(f"{TOKEN} {SECRET}"))
    written = read_bytes(tmp_path)
    for secret in (TOKEN, SECRET, SECRET[6:], "5iGn4tUr3", "078-05", "c00kie5", "pl4n"):
        assert secret.encode() not in written, secret
    assert json.loads((tmp_path / "cassette.json").read_text())["redact"] == sorted(redact)
    with LocalReplicate(replay=tmp_path) as server:
        client = Replicate("r8_another", base_url=server.base_url)
        # What is left out of the recording is left out of the comparison.
        made = client.predictions.create(
            model="a/b",
            input={"ssn": "other", "token": "[removed]"},
            webhook="https://example.com/?signature=other",
        )
        assert [each.event for each in made.stream()] == ["logs", "output", "done"]
        assert client.webhooks.default.secret().key.startswith("whsec_")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"status": 200', '"status": 20', "line 12: status must be from 200 to 599, not 20"),
        ('"method": "GET",', "", "method is missing"),
        ('"method": "GET"', '"method": 1', "line 3: method must be text, not 1"),
        ('"status": 200,', '"status": 200', "line 13: Expecting ',' delimiter"),
        ('"repeat": true', '"repeat": "yes"', "repeat must be true or false, not 'yes'"),
        ('"json": {', '"jsn": {', "a body must have json, text or file"),
        ('"content-type": "app', '"content-type": "\\n', "the header content-type has an invalid"),
        ('"style": "', '"style": "odd ', "there is no style"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(cassette, old, new, says):
    change(cassette / FIRST, old, new)
    with pytest.raises(CassetteError) as error:
        LocalReplicate(replay=cassette).start()
    assert str(error.value).startswith(f"{cassette / FIRST}, line ")
    assert says in str(error.value)


def test_a_cassette_of_a_newer_version_is_refused(cassette):
    change(cassette / "cassette.json", '"version": 1', '"version": 2')
    with pytest.raises(CassetteError, match=r"cassette.json, line 3: version 2 is newer than 1"):
        LocalReplicate(replay=cassette).start()


def test_a_folder_that_is_no_cassette_is_refused(tmp_path, cassette):
    with pytest.raises(CassetteError, match="there is no folder .*nowhere"):
        LocalReplicate(replay=tmp_path / "nowhere").start()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CassetteError, match=r"empty is not a cassette: it has no cassette\.json"):
        LocalReplicate(replay=tmp_path / "empty").start()
    (tmp_path / "empty" / "cassette.json").write_text('{"name": "a music player"}')
    with pytest.raises(CassetteError, match="line 1: format must be"):
        LocalReplicate(replay=tmp_path / "empty").start()
    # It is not overwritten either.
    with pytest.raises(CassetteError, match="is not the manifest of a cassette"):
        LocalReplicate(record=tmp_path / "empty").start()
    (cassette / FIRST).write_bytes(b"{\n\xff}")
    with pytest.raises(CassetteError, match=r"line 2: this is not UTF-8"):
        LocalReplicate(replay=cassette).start()


def test_a_file_beside_that_was_changed_is_refused(tmp_path):
    content = os.urandom(1000)
    with Wire(lambda _: reply(content, kind="image/png")) as wire:
        with recording(tmp_path, wire.origin) as server:
            Replicate(TOKEN, base_url=server.base_url).request("files/f/download")
    (path,) = tmp_path.glob("*.png")
    path.write_bytes(content[1:] + b"x")
    with pytest.raises(CassetteError, match=r"\.json, line \d+: .*png is not the recorded file"):
        LocalReplicate(replay=tmp_path).start()
    path.unlink()
    with pytest.raises(CassetteError, match=r"line \d+: .*png cannot be read: No such file"):
        LocalReplicate(replay=tmp_path).start()


def test_where_nothing_can_be_written_nothing_is_recorded(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CassetteError, match="cannot record into .*file/cassette: Not a directory"):
        LocalReplicate(record=tmp_path / "file" / "cassette").start()
    with pytest.raises(CassetteError, match="cannot record into /proc/cassette"):
        LocalReplicate(record="/proc/cassette").start()


READ_ONLY = """
import os, sys
from replicate_rs import Replicate
from replicate_rs.local import CassetteError, LocalReplicate

def replay():
    with LocalReplicate(replay=sys.argv[1]) as server:
        print(Replicate("r8_any", base_url=server.base_url).predictions.get("p1").output)

# The second time nothing is imported, from where only root may read.
replay()
os.setuid(65534)
replay()
try:
    LocalReplicate(record=sys.argv[1]).start()
except CassetteError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs to be root")
def test_a_cassette_that_is_read_only_is_replayed_and_not_recorded(cassette, tmp_path):
    for folder in (cassette, *cassette.parents):
        if folder.stat().st_uid == 0 and str(folder) != "/":
            folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(cassette)], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HI\nHI\n")
    assert "Permission denied" in done.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"record": "a", "replay": "b"}, "record and replay are two modes"),
        ({"upstream": "http://x"}, "upstream is for record="),
        ({"redact": ["x"]}, "redact is for record="),
        ({"at_once": True}, "at_once is for replay="),
        ({"record": "a", "upstream": "x"}, "upstream must be a URL"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        LocalReplicate(**options)


@pytest.mark.parametrize("redact", ["signature", [1]])
def test_names_to_redact_are_a_list(redact):
    with pytest.raises(TypeError, match="redact must be a list of names"):
        LocalReplicate(record="a", redact=redact)


def test_the_command_records_and_replays(tmp_path):
    with create_upstream() as upstream:
        arguments = ["--record", "tapes", "--upstream", upstream.origin, "--redact", "x-plan"]
        with Command(*arguments, "--port", "0", folder=tmp_path) as command:
            assert command.process.stdout.readline().startswith("local Replicate: http://")
            says = command.process.stdout.readline()
            assert says == f"  records {upstream.origin} in tapes, with the token of each request\n"
            command.process.stdout.readline()
            url = command.process.stdout.readline().strip().partition("=")[2]
            client = Replicate(TOKEN, base_url=url)
            assert client.run("acme/shout", input={"text": "hi"}) == "HI"
            assert command.stop()[0] == 0
    with Command("--replay", "tapes", "--port", "0", folder=tmp_path) as command:
        lines = command.exported()
        client = Replicate(lines["REPLICATE_API_TOKEN"], base_url=lines["REPLICATE_BASE_URL"])
        assert client.run("acme/shout", input={"text": "hi"}) == "HI"
        assert command.stop()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--replay", "nowhere"], 1, "replicate_rs.local: there is no folder nowhere"),
        (["--replay", "a", "--record", "b"], 1, "record and replay are two modes"),
        (["app.py", "--replay", "a"], 2, "give a file with models, or --record, or --replay"),
        ([], 2, "give a file with models, or --record, or --replay"),
        (["--replay", "a", "--reload"], 2, "--reload is for a file with models"),
        (["--replay", "a", "--upstream", "http://x"], 1, "upstream is for record="),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path, arguments, status, says):
    with Command(*arguments, "--port", "0", folder=tmp_path) as command:
        err = command.process.communicate(timeout=20)[1]
    assert (command.process.returncode, says in err, "Traceback" in err) == (status, True, False)


TEST = """
import pytest
import replicate_rs as replicate

@pytest.mark.replicate_local(replay="cassettes/shout", redact=["x-plan"])
def test_shout(replicate_local):
    assert replicate.run("acme/shout", {"text": "WORD"}) == "HI"

def test_with_a_model(replicate_local):
    @replicate_local.model("acme/own")
    def own(text: str) -> str:
        return text
    assert replicate.run("acme/own", {"text": "hi"}) == "hi"
"""
SWALLOWING = """
import pytest
import replicate_rs as replicate

@pytest.mark.replicate_local(replay="cassettes/shout")
def test_shout(replicate_local):
    try:
        replicate.run("acme/shout", {"text": "ho"})
    except replicate.ReplicateError:
        pass
"""


def test_the_fixture_records_and_replays(tmp_path, monkeypatch):
    path = tmp_path / "test_it.py"
    path.write_text(TEST.replace("WORD", "hi"))
    said = run_pytest(tmp_path, "--strict-markers")
    assert "1 passed, 1 error" in said
    assert "to record a cassette: pytest --replicate-record" in said
    with create_upstream() as upstream, monkeypatch.context() as patch:
        patch.setenv("REPLICATE_BASE_URL", upstream.origin)
        patch.setenv("REPLICATE_API_TOKEN", TOKEN)
        assert "2 passed" in (said := run_pytest(tmp_path, "--replicate-record")), said
    assert "2 passed" in (said := run_pytest(tmp_path, "--strict-markers")), said
    assert TOKEN.encode() not in read_bytes(tmp_path / "cassettes")


def test_with_the_fixture_a_request_that_was_not_recorded_fails_the_test(tmp_path):
    path = tmp_path / "test_it.py"
    with recording(tmp_path / "cassettes" / "shout") as server:
        client = Replicate(TOKEN, base_url=server.base_url)
        client.run("acme/shout", input={"text": "hi"})
    path.write_text(TEST.replace("WORD", "ho"))
    said = run_pytest(tmp_path)
    assert "1 failed, 1 passed" in said
    assert 'body.input.text: recorded "hi", requested "ho"' in said
    # An error that the program swallows fails the test too.
    path.write_text(SWALLOWING)
    said = run_pytest(tmp_path)
    assert "1 failed" in said
    assert re.search(r"requests that were not recorded:\n.*no recording of POST", said)
