"""The names of output files."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicate_rs._files.names import get_file_name, to_safe_name, to_unique_names


@pytest.mark.parametrize(
    ("url", "disposition", "content_type", "name"),
    [
        ("https://x.test/a/out%20one.png?x=/y.gif#z", None, None, "out one.png"),
        ("https://x.test/a/", None, "image/webp", "output.webp"),
        ("https://x.test", None, None, "output"),
        ("https://x.test/%2e%2e%2f%2e%2e%2fetc%2fpasswd", None, None, "passwd"),
        ("https://x.test/a", "attachment; filename=b.txt", None, "b.txt"),
        ("https://x.test/a", 'attachment; filename="..\\\\..\\\\b.txt"', None, "b.txt"),
        ("https://x.test/a", "attachment; filename=.bashrc", None, "bashrc"),
        ("https://x.test/a", "inline", "application/octet-stream", "a"),
        ("https://x.test/a", None, "audio/wav", "a.wav"),
        ("https://x.test/a.b", None, "audio/wav", "a.b"),
        ("https://x.test/a%00b%0A.txt", None, None, "ab.txt"),
        ("https://x.test/a:b*.txt. ", None, None, "a_b_.txt"),
    ],
)
def test_a_name_is_found_and_safe(url, disposition, content_type, name):
    assert get_file_name(url, disposition, content_type) == name


@settings(derandomize=True, database=None, max_examples=300)
@given(st.text(), st.sampled_from(["", ".png"]))
def test_any_text_becomes_one_name(text, ending):
    name = to_safe_name(text, ending)
    assert Path(name).name == name
    assert not name.startswith(".")
    assert "\0" not in name
    assert 0 < len(os.fsencode(name)) <= 255


@settings(derandomize=True, database=None, max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["a.png", "A.png", "a-2.png", "a", "x" * 255, "ß" * 127]),
            st.text().map(to_safe_name),
        ),
        max_size=12,
    )
)
def test_names_are_kept_apart(names):
    result = to_unique_names(names)
    assert len({each.casefold() for each in result}) == len(names)
    assert all(len(os.fsencode(each)) <= 255 for each in result)
    assert result[:1] == names[:1]
