"""Third-party libraries read exactly the bytes of a `FileOutput`, or show its URL."""

import asyncio
import base64
import http.server
import io
import json
import random
import shutil
import threading

import pytest

from replicate_rs import FileOutput, Replicate

boto3 = pytest.importorskip("boto3")
fsspec = pytest.importorskip("fsspec")
httpx = pytest.importorskip("httpx")
pandas = pytest.importorskip("pandas")
yaml = pytest.importorskip("yaml")

SIZES = [0, 1, 204_800, 5_000_000]


class Host(http.server.BaseHTTPRequestHandler):
    """A host of one file that supports ranges, and stores the body of the last request."""

    protocol_version = "HTTP/1.1"
    content = b""
    received = b""

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        part = self.content[start:]
        if start and not part:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.content)}")
        else:
            self.send_response(206 if start else 200)
            self.send_header(
                "Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
            )
        self.send_header("ETag", '"a"')
        self.send_header(
            "Content-Type",
            "image/png" if self.path.endswith(".png") else "application/octet-stream",
        )
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def do_POST(self):
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        Host.received = body
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def origin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def output_file(origin):
    """Return a function that creates an output file with some content."""
    client = Replicate("r8_secret", base_url="https://x.test")

    def create(content, name="out.bin"):
        Host.content = content
        return FileOutput(f"{origin}/{name}", client)

    yield create
    client.close()


@pytest.fixture(params=SIZES)
def content(request):
    return random.Random(request.param).randbytes(request.param)


def test_boto3_stores_it(output_file, content, monkeypatch):
    moto = pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    output = output_file(content)
    with moto.mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        s3.upload_fileobj(output, "bucket", "fileobj")
        s3.put_object(Bucket="bucket", Key="body", Body=output_file(content))
        # A multipart upload.
        small = boto3.s3.transfer.TransferConfig(
            multipart_threshold=5 << 20, multipart_chunksize=5 << 20
        )
        s3.upload_fileobj(output_file(content * 3), "bucket", "parts", Config=small)
        assert [
            s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in ("fileobj", "body")
        ] == [content] * 2
        assert s3.get_object(Bucket="bucket", Key="parts")["Body"].read() == content * 3


def test_httpx_sends_it(output_file, origin, content):
    httpx.post(origin, content=output_file(content))
    assert Host.received == content
    httpx.post(origin, files={"f": output_file(content)})
    assert content in Host.received
    assert b'filename="out.bin"' in Host.received
    assert httpx.get(str(output_file(content))).content == content


def test_fsspec_copies_it(output_file, content, tmp_path):
    memory = fsspec.filesystem("memory")
    output = output_file(content)
    with memory.open("/kept", "wb") as file:
        shutil.copyfileobj(output, file)
    assert memory.cat("/kept") == content
    memory.put_file(output, "/put")
    assert memory.cat("/put") == content
    with fsspec.open(str(tmp_path / "x"), "wb") as file:
        file.writelines(output_file(content))
    assert (tmp_path / "x").read_bytes() == content


@pytest.mark.parametrize("rows", [1, 10, 200_000])
def test_pandas_and_yaml_read_it(output_file, rows):
    table = pandas.DataFrame({"a": range(rows), "b": [f"text {n}" for n in range(rows)]})
    text = table.to_csv(index=False).encode()
    assert pandas.read_csv(output_file(text, "a.csv")).equals(table)
    assert pandas.read_csv(io.TextIOWrapper(output_file(text), "utf-8")).equals(table)
    assert pandas.read_csv(output_file(text).open()).equals(table)
    lines = b"\n".join(json.dumps({"a": n}).encode() for n in range(rows))
    assert len(pandas.read_json(output_file(lines, "a.json"), lines=True)) == rows
    value = {"rows": list(range(min(rows, 3000)))}
    assert yaml.safe_load(output_file(yaml.safe_dump(value).encode())) == value


def test_django_rest_framework_answers_with_its_url():
    django = pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            USE_TZ=True,
            REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
            INSTALLED_APPS=["rest_framework"],
        )
        django.setup()
    from rest_framework import serializers
    from rest_framework.renderers import JSONRenderer

    output = FileOutput("https://x.test/a.png?s=1&t=2", Replicate("t"))
    assert json.loads(JSONRenderer().render({"image": output, "all": [output]})) == {
        "image": output.url,
        "all": [output.url],
    }

    class Answer(serializers.Serializer):
        image = serializers.URLField()
        text = serializers.CharField()

    assert dict(Answer({"image": output, "text": output}).data) == {
        "image": output.url,
        "text": output.url,
    }


def picture():
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "PNG")
    return buffer.getvalue()


def app(address):
    import streamlit as st

    from replicate_rs import FileOutput, Replicate

    output = FileOutput(address, Replicate("t"))
    st.image(output.url)
    st.image(output.read())
    st.audio(output)
    st.video(output)
    st.audio(output.url)
    st.video(output.open())
    st.download_button("Download", output, file_name=output.name)


def test_streamlit_shows_it(output_file):
    testing = pytest.importorskip("streamlit.testing.v1")
    output = output_file(picture(), "out.png")
    run = testing.AppTest.from_function(app, args=(output.url,), default_timeout=60).run()
    assert not run.exception, run.exception
    # The bytes that the download button offers.
    from streamlit.runtime.download_data_util import convert_data_to_bytes_and_infer_mime

    assert convert_data_to_bytes_and_infer_mime(output, ValueError())[0] == Host.content


def test_notebooks_show_it(output_file):
    display = pytest.importorskip("IPython.display")
    output = output_file(picture(), "out.png")
    encoded = base64.b64encode(Host.content).decode()
    assert (
        display.Image(output.read())._repr_mimebundle_()[0]["image/png"].replace("\n", "")
        == encoded
    )
    assert (
        display.Image(filename=output)._repr_mimebundle_()[0]["image/png"].replace("\n", "")
        == encoded
    )
    assert output.url in display.Image(url=output.url)._repr_html_()
    assert output.url in display.Video(url=output.url)._repr_html_()
    assert display.Audio(output.read(), rate=None).data == Host.content
    from IPython.core.formatters import DisplayFormatter

    formatted, _ = DisplayFormatter().format(output)
    assert f'src="data:image/png;base64,{encoded}"' in formatted["text/html"]


def test_gradio_takes_it(output_file, monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    gr = pytest.importorskip("gradio")
    from pathlib import Path

    output = output_file(picture(), "out.png")
    assert gr.Image().postprocess(str(output)).path == output.url
    assert Path(gr.Image().postprocess(Path(output)).path).read_bytes() == Host.content
    assert gr.Audio().postprocess(output.read()) is not None
    assert Path(gr.File().postprocess(str(Path(output))).path).read_bytes() == Host.content


def test_httpx_sends_it_on_an_event_loop(output_file, origin):
    async def send(output):
        async with httpx.AsyncClient() as web:
            await web.post(origin, content=output.achunks())

    content = random.Random(1).randbytes(5_000_000)
    asyncio.run(send(output_file(content)))
    assert Host.received == content
