"""A Streamlit app in Streamlit's AppTest."""

from __future__ import annotations

import json

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

APP = '''
import io

import replicate
import streamlit as st
from PIL import Image


@st.cache_resource
def client():
    return replicate.Client()


@st.cache_data
def shout(prompt):
    return client().run("acme/shout", input={"prompt": prompt})


@st.cache_data
def paint(color):
    """Return a file; Streamlit's cache pickles it."""
    return replicate.run("acme/painter", input={"prompt": color})


st.title("Replicate")
if st.button("Paint"):
    output = paint("red")
    st.image(output.read())
    st.image(str(output))
    st.session_state.pixel = Image.open(io.BytesIO(output.read())).getpixel((0, 0))
    st.session_state.output = output

if prompt := st.chat_input("Say something"):
    with st.chat_message("assistant"):
        events = replicate.stream("acme/llama", input={"prompt": prompt})
        text = st.write_stream(str(event) for event in events)
    st.session_state.setdefault("messages", []).append(text)
    st.code(shout(prompt))

if st.button("Fail"):
    try:
        replicate.run("acme/broken", input={"prompt": "x"})
    except replicate.exceptions.ModelError as error:
        st.error(str(error))
'''


@pytest.fixture
def app(server):
    streamlit.cache_data.clear()
    streamlit.cache_resource.clear()
    app = AppTest.from_string(APP, default_timeout=30).run()
    assert not app.exception
    assert server.requests == []
    return app


def button(app, label):
    return next(each for each in app.button if each.label == label)


def test_a_chat(server, app):
    app.chat_input[0].set_value("to be or not").run()
    assert not app.exception
    assert app.chat_message[0].markdown[0].value == "to be or not"
    assert app.code[0].value == "TO BE OR NOT"
    app.chat_input[0].set_value("to be or not").run()
    assert app.session_state.messages == ["to be or not ", "to be or not "]
    # Streams are not cached, and the other answer is.
    assert [each.path.split("/")[4] for each in server.created] == ["llama", "shout", "llama"]


def test_pictures(server, app):
    for _ in range(2):
        button(app, "Paint").click().run()
        assert not app.exception
        assert app.session_state.pixel == (255, 0, 0)
    assert app.session_state.output.url.startswith(server.output_origin)
    assert [json.loads(each.body)["input"] for each in server.created] == [{"prompt": "red"}]


def test_a_failure_is_shown(server, app):
    button(app, "Fail").click().run()
    assert not app.exception
    assert [each.value for each in app.error] == ["out of memory"]
