"""What notebooks show of predictions, pages, models, results and journals."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replicate_rs as replicate
from replicate_rs import Model, Page, Prediction, Replicate, Training, Version
from replicate_rs._batch.results import Result
from replicate_rs.batch import Journal

EVIL = "<script>alert('x')</script>\"' onerror=\"alert(1)"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {
    "components": {
        "schemas": {
            "Size": {"enum": ["small", "large"], "type": "string", "description": "An enum."},
            "Input": {
                "type": "object",
                "required": ["prompt"],
                "properties": {
                    "steps": {
                        "type": "integer",
                        "default": 4,
                        "minimum": 1,
                        "maximum": 50,
                        "x-order": 2,
                        "description": "How many.",
                    },
                    "prompt": {"type": "string", "x-order": 0},
                    "size": {
                        "allOf": [{"$ref": "#/components/schemas/Size"}],
                        "default": "small",
                        "x-order": 1,
                    },
                    "image": {"type": "string", "format": "uri", "x-order": 3},
                    "images": {
                        "type": "array",
                        "items": {"type": "string", "format": "uri"},
                        "maxItems": 3,
                        "x-order": 4,
                    },
                    "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}], "x-order": 5},
                    "key": {"type": "string", "format": "password", "x-order": 6},
                },
            },
        }
    }
}


def text_of(html):
    """Return the text of HTML, with a tab between cells and a line feed after rows."""
    html = re.sub(r"</t[hd]>", "\t", html.replace("</table></div>", "</table>"))
    html = re.sub(r"</(?:tr|div|details|summary)>", "\n", html)
    return re.sub(r"<[^>]*>", "", html)


def assert_harmless(html):
    assert "<script" not in html
    for element in re.findall(r"<[^>]*>", html):
        # Attributes with their values removed.
        assert not re.search(r"\bon\w+=", re.sub(r'"[^"]*"', "", element)), element
    for url in re.findall(r'(?:href|src)="([^"]*)"', html):
        assert url.startswith(("https://", "http://", "data:image/"))


def test_a_prediction_shows_its_model_input_and_output():
    html = Prediction(
        id="p1",
        model="acme/x",
        status="succeeded",
        input={"prompt": "a <b>crab</b>", "image": PIXEL, "n": 3},
        output=["Once ", "upon"],
        logs="step 1\nstep 2\n",
        metrics={"predict_time": 1.234},
        urls={"web": "https://replicate.com/p/p1", "stream": "https://stream.test/secret"},
        webhook="https://hooks.test/?key=hush",
    )._repr_html_()
    text = text_of(html)
    assert "acme/x succeeded · 1.23 s · p1" in text
    assert "prompt\ta &lt;b&gt;crab&lt;/b&gt;\t" in text
    assert "image\tdata:image/png;base64, 12 B\t" in text
    assert "Once upon" in text
    assert "step 1\nstep 2" in text
    assert 'href="https://replicate.com/p/p1"' in html
    assert "secret" not in html
    assert "hush" not in html


def test_a_prediction_shows_its_files():
    html = Prediction(id="p1", status="succeeded", output={"a": [PIXEL, PIXEL]})._repr_html_()
    assert html.count(f'src="{PIXEL}"') == 2


def test_what_an_output_has_beside_its_files_is_shown():
    output = {"caption": "two <b>crabs</b>", "image": PIXEL}
    html = Prediction(id="p1", status="succeeded", output=output)._repr_html_()
    assert f'src="{PIXEL}"' in html
    assert "two &lt;b&gt;crabs&lt;/b&gt;" in html
    assert html.count(PIXEL) == 1
    result = Result(key="k", index=0, input={}, status="succeeded", output=output)
    assert "two &lt;b&gt;crabs&lt;/b&gt;" in result._repr_html_()


def test_a_prediction_that_failed_shows_its_error():
    html = Prediction(id="p1", model="acme/x", status="failed", error=f"OOM {EVIL}")._repr_html_()
    assert "OOM &lt;script&gt;" in html
    assert_harmless(html)


def test_a_training_is_shown_like_a_prediction():
    html = Training(id="t1", model="acme/x", status="processing", output=None)._repr_html_()
    assert "acme/x processing · t1" in text_of(html)


@pytest.mark.parametrize(
    ("name", "value", "is_hidden"),
    [
        ("hf_token", "hf_123", True),
        ("token", "hf_123", True),
        ("OPENAI_API_KEY", "sk-123", True),
        ("password", "123", True),
        ("max_tokens", 123, False),
        ("token_count", "123", False),
        ("prompt", "123", False),
        ("settings", {"api_key": "123"}, True),
    ],
)
def test_inputs_that_may_be_secret_are_hidden(name, value, is_hidden):
    html = Prediction(id="p1", status="starting", input={name: value})._repr_html_()
    assert ("(hidden)" in html) == is_hidden
    assert ("123" in html) != is_hidden


def test_the_text_beside_the_html_has_no_secrets():
    pretty = pytest.importorskip("IPython.lib.pretty")
    prediction = Prediction(
        id="p1",
        status="starting",
        input={"hf_token": "hush", "prompt": "a crab"},
        webhook="https://hooks.test/?key=hush",
        urls={"get": "https://api.test/p1", "stream": "https://stream.test/hush"},
    )
    for value in (prediction, [prediction], Page([prediction])):
        text = pretty.pretty(value)
        assert "hush" not in text
        assert "a crab" in text
        assert "https://api.test/p1" in text
    without = Prediction(id="p1", status="starting", input={"prompt": "a crab"})
    assert pretty.pretty(without) == repr(without)
    assert pretty.pretty(Page([without, "text"])) == repr(Page([without, "text"]))


def test_a_model_shows_its_inputs_as_a_table():
    model = Model(
        owner="acme",
        name="x",
        url="https://replicate.com/acme/x",
        description="Draws.",
        visibility="public",
        run_count=1234,
        latest_version={"id": "v1", "openapi_schema": SCHEMA},
    )
    rows = text_of(model._repr_html_()).splitlines()
    assert rows == [
        "acme/x public · 1,234 runs",
        "Draws.",
        "input\ttype\tdefault\tlimits\tdescription\t",
        "prompt\tstring\trequired\t\t\t",
        "size\tstring\t&quot;small&quot;\t&quot;small&quot;, &quot;large&quot;\tAn enum.\t",
        "steps\tinteger\t4\t≥ 1, ≤ 50\tHow many.\t",
        "image\tfile\t\t\t\t",
        "images\tlist of file\t\tat most 3 items\t\t",
        "seed\tinteger or null\t\t\t\t",
        "key\tsecret\t\t\t\t",
        "",
    ]
    assert "prompt\tstring" in text_of(model.latest_version._repr_html_())


def test_a_model_without_a_version_says_so():
    assert "models.get" in Model(owner="acme", name="x")._repr_html_()
    version = Version(id="v1", openapi_schema=None)
    assert "no inputs" in version._repr_html_()


def test_a_page_is_a_table():
    page = Page([Prediction(id="p1", model="acme/x", status="succeeded", output=["a"])], "next")
    assert text_of(page._repr_html_()).splitlines() == [
        "Page 1 result · more on the next page",
        "id\tmodel\tstatus\tcreated at\toutput\t",
        "p1\tacme/x\tsucceeded\t\ta\t",
        "",
    ]
    assert "0 results · the last page" in Page([])._repr_html_()
    assert "text" in Page(["text"])._repr_html_()


def test_a_table_scrolls_where_it_is_too_wide():
    """JupyterLab cuts what is wider than a cell, VS Code makes the cell as wide."""
    prediction = Prediction(id="p1", status="succeeded", created_at="2026-11-30T14:49:42.1Z")
    html = Page([prediction])._repr_html_()
    assert '<div style="overflow-x:auto"><table' in html
    assert '<span style="white-space:nowrap">2026-11-30 14:49:42</span>' in html


def test_a_page_fetches_no_files(local):
    with Replicate("r8_secret", base_url=local.base_url) as client:
        client.run("acme/reverse", {"file": b"abc"})
        before = len(local.requests)
        page = client.predictions.list()
        page._repr_html_()
        assert len(local.requests) == before + 1


def test_a_result_shows_what_became_of_its_input(tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    html = Result(
        key="k1",
        index=0,
        input={"prompt": EVIL},
        status="succeeded",
        output=PIXEL,
        files=[tmp_path / "a.png"],
        predict_time=2.0,
        ended_at=datetime.now(UTC),
    )._repr_html_()
    assert "k1 succeeded · 2.00 s" in text_of(html)
    assert 'src="data:image/png;base64,cG5n"' in html
    assert_harmless(html)
    html = Result(key="k1", index=0, input=5, status="failed", error="OOM")._repr_html_()
    assert "k1 failed" in text_of(html)
    assert "OOM" in html


def test_a_journal_is_shown_in_numbers(local, tmp_path):
    path = tmp_path / "runs.db"
    with Replicate("r8_secret", base_url=local.base_url) as client:
        list(client.map("acme/shout", [{"text": "a"}, {"text": "b"}], journal=path))
    with Journal(path) as journal:
        text = text_of(journal._repr_html_())
    assert "inputs\t2\t" in text
    assert "succeeded\t2\t" in text
    assert "cannot be read" in journal._repr_html_()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(EVIL),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just(EVIL), inner, max_size=4)
    ),
    max_leaves=8,
)
FIELDS = (
    *("id", "model", "status", "input", "logs", "error", "metrics", "urls", "data_removed"),
    *("owner", "name", "url", "description", "visibility", "run_count", "created_at", "output"),
)
WORDS = (
    *("type", "default", "enum", "minimum", "pattern", "items", "allOf", "anyOf", "format"),
    *("description", "x-order", "$ref", "properties", "required"),
)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_no_record_raises_or_adds_elements(data):
    for kind in (Prediction, Training, Model, Version):
        assert_harmless(kind(**data)._repr_html_())
        assert_harmless(Page([kind(**data)])._repr_html_())


@given(st.dictionaries(st.sampled_from(WORDS), VALUES) | VALUES, VALUES)
def test_no_schema_raises_or_adds_elements(declared, required):
    declared = {"properties": {EVIL: declared, "b": declared}, "required": required}
    schema = {"components": {"schemas": {"Input": declared}}}
    assert_harmless(Version(id="v", openapi_schema=schema)._repr_html_())


def test_nothing_is_imported_before_it_is_asked_for():
    program = """
import sys, json
import replicate_rs
from replicate_rs import FileOutput, Model, Page, Prediction, Version
from replicate_rs.prediction import Prediction
print(json.dumps([name for name in sys.modules if "notebook" in name or "IPython" in name]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_client_and_its_secret_show_no_token():
    client = Replicate("r8_secret")
    assert not hasattr(client, "_repr_html_")
    assert not hasattr(replicate.WebhookSigningSecret(key="whsec_x"), "_repr_html_")
