"""The decoder of event streams follows WHATWG HTML, §9.2.6, wherever the bytes are cut.

It is compared with another parser, too.
"""

import base64
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicate_rs import EventTooLarge, ServerSentEvent
from replicate_rs.stream import EventDecoder

NODE = Path(__file__).parents[1] / "node"


def read(pieces):
    """Return a stream's events, its last id, and its retry time."""
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events, decoder.last_event_id, decoder.retry


def message(data, id=None, *, event="message", retry=None):
    return ServerSentEvent(event, data, id, retry)


RULES = {
    # The beginning
    "a mark at the beginning is no text": ("\ufeffdata: a\n\n", [message("a")]),
    "a mark may be all that a line has": ("\ufeff\ndata: a\n\n", [message("a")]),
    "only one mark is no text": ("\ufeff\ufeffdata: a\n\ndata: b\n\n", [message("b")]),
    "a mark later on is text": (
        "data: a\n\n\ufeffdata: b\n\ndata: \ufeff\n\n",
        [message("a"), message("\ufeff")],
    ),
    "nothing is in nothing": ("", []),
    # Lines
    "lines end at LF": ("data: a\ndata: b\n\n", [message("a\nb")]),
    "lines end at CR": ("data: a\rdata: b\r\r", [message("a\nb")]),
    "lines end at CRLF": ("data: a\r\ndata: b\r\n\r\n", [message("a\nb")]),
    "line ends may be mixed": ("data: a\r\ndata: b\rdata: c\n\r\n", [message("a\nb\nc")]),
    "CR and CRLF are two ends": ("data: a\r\r\ndata: b\n\n", [message("a"), message("b")]),
    "LF and CR are two ends": ("data: a\n\rdata: b\n\n", [message("a"), message("b")]),
    "nothing else ends a line": (
        "data: a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n",
        [message("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg")],
    ),
    "blank lines alone are no events": ("\n\r\r\n\n", []),
    # Fields
    "a comment is not heard": (": hello\ndata: a\n:\n:data: b\n\n", [message("a")]),
    "a field without a colon is empty": (
        "data\n\nevent: x\nevent\ndata\ndata\n\n",
        [message(""), message("\n")],
    ),
    "empty data are an event": ("data:\n\ndata: \n\n", [message(""), message("")]),
    "empty data lines count": ("data:\ndata: a\ndata\n\n", [message("\na\n")]),
    "one space is taken away": (
        "data:a\n\ndata: a\n\ndata:  a \n\n",
        [message("a"), message("a"), message(" a ")],
    ),
    "a tab is no space": ("data:\ta\n\n", [message("\ta")]),
    "the first colon counts": ("data: a: b:\n\n", [message("a: b:")]),
    "a space before the colon is the name's": ("data : a\n data: a\ndata: b\n\n", [message("b")]),
    "names are told by case": ("Data: a\nDATA: a\ndata: b\n\n", [message("b")]),
    "unknown fields are passed over": (
        "foo: a\nfoo\ndatax: a\ndat: a\ndata: b\nid2: 1\n\n",
        [message("b")],
    ),
    # Events
    "any name is passed on": ("event: élan vital\ndata: a\n\n", [message("a", event="élan vital")]),
    "an empty name is none": ("event: x\nevent:\ndata: a\n\n", [message("a")]),
    "the last name counts": ("event: x\nevent: y\ndata: a\n\n", [message("a", event="y")]),
    "a name is for one event": (
        "event: x\ndata: a\n\ndata: b\n\n",
        [message("a", event="x"), message("b")],
    ),
    "a name alone is no event": ("event: x\n\ndata: a\n\n", [message("a")]),
    "what has not ended is dropped": ("data: a\n\nid: 1\nevent: x\ndata: b\n", [message("a")]),
    "what has no line end is dropped": ("data: a\n\ndata: b", [message("a")]),
    # Ids
    "an id stays": (
        "id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n",
        [message("a", "1"), message("b", "1"), message("c", "2")],
    ),
    "an id counts without data": ("id: 1\n\ndata: a\n\n", [message("a", "1")]),
    "an empty id is an id": (
        "id: 1\ndata: a\n\nid\ndata: b\n\nid:\ndata: c\n\n",
        [message("a", "1"), message("b", ""), message("c", "")],
    ),
    "the last id counts": ("id: 1\nid: 2\ndata: a\n\n", [message("a", "2")]),
    "an id with NUL is none": ("id: 1\nid: 2\0\nid: \0\ndata: a\n\n", [message("a", "1")]),
    "NUL elsewhere is text": ("event: x\0\ndata: \0\n\n", [message("\0", event="x\0")]),
    # Times
    "digits are a time": (
        "retry: 0050\ndata: a\n\ndata: b\n\n",
        [message("a", retry=50), message("b")],
    ),
    "the last time counts": ("retry: 1\nretry:2\ndata: a\n\n", [message("a", retry=2)]),
    "what is not all digits is no time": (
        (
            "retry: 7\ndata: a\n\nretry\nretry:\nretry: -1\nretry: 1.5\nretry:  1\nretry: 1"
            " \nretry: ٣\nretry: 0x1\ndata: b\n\n"
        ),
        [message("a", retry=7), message("b")],
    ),
    # Bytes
    "what is not UTF-8 is replaced": (
        b"id: \xff\nevent: \xc3\ndata: a\xf0\x9f\x92b\xed\xa0\x80\n\n",
        [message("a\ufffdb\ufffd\ufffd\ufffd", "\ufffd", event="\ufffd")],
    ),
    "a name that is not UTF-8 is not known": (
        b"data\xff: a\n\xffdata: a\ndata: b\n\n",
        [message("b")],
    ),
}


@pytest.mark.parametrize(("stream", "events"), RULES.values(), ids=RULES)
def test_the_standard_s_rules_hold_wherever_a_stream_is_cut(stream, events):
    whole = stream.encode() if isinstance(stream, str) else stream
    assert read([whole])[0] == events
    assert read([whole[at : at + 1] for at in range(len(whole))])[0] == events
    for at in range(len(whole)):
        assert read([whole[:at], b"", whole[at:]])[0] == events, f"cut at {at}"


def test_an_event_comes_with_the_byte_that_ends_it():
    for end in (b"\n\n", b"\r\r", b"\r\n\r", b"\n\r"):
        decoder = EventDecoder()
        assert decoder.feed(b"data: a" + end[:-1]) == []
        assert decoder.feed(end[-1:]) == [message("a")]
        # An LF that follows belongs to the CR.
        assert decoder.feed(b"\ndata: b\n\n") == [message("b")]


def test_what_the_decoder_remembers_changes_when_an_event_has_ended():
    decoder = EventDecoder()
    assert (decoder.last_event_id, decoder.retry) == (None, None)
    decoder.feed(b"id: 1\nretry: 20\ndata: a\n\nid: 2\ndata: b\n")
    assert (decoder.last_event_id, decoder.retry) == ("1", 20)
    decoder.feed(b"\nid:\n\n")
    assert (decoder.last_event_id, decoder.retry) == ("", 20)
    assert decoder.feed(b"id: \xf0\x9f\x92\x9b\n\n") == []
    decoder.close()
    assert (decoder.last_event_id, decoder.retry) == ("💛", 20)


def test_whatever_holds_bytes_can_be_fed():
    stream = b"id: 1\ndata: a\n\n"
    reused = bytearray(stream)
    decoder = EventDecoder()
    spread = memoryview(
        bytes(byte for pair in zip(stream, bytes(len(stream)), strict=True) for byte in pair)
    )[::2]
    for each in (stream, reused, memoryview(stream), memoryview(reused)[:], spread):
        assert decoder.feed(each) == [message("a", "1")]
    decoder.feed(memoryview(reused)[:-1])
    reused[:] = bytes(len(reused))
    assert decoder.feed(b"\n") == [message("a", "1")]


def test_what_holds_no_bytes_is_refused_and_changes_nothing():
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\n") == []
    for each in ("data: b\n\n", None, 3, [b"data: b\n\n"], iter([b"\n"])):
        with pytest.raises(TypeError, match="bytes-like"):
            decoder.feed(each)
    assert decoder.feed(b"\n") == [message("a")]


def test_a_closed_decoder_takes_no_more():
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\n\ndata: b\n") == [message("a")]
    decoder.close()
    decoder.close()
    for each in (b"\n", b""):
        with pytest.raises(ValueError, match="closed"):
            decoder.feed(each)


def feed_all(decoder, pieces):
    for piece in pieces:
        decoder.feed(piece)


def test_an_event_over_the_limit_is_refused():
    for stream in (
        b"data: 0123456789a",
        b"data: 0123456789a\n\n",
        b"data: 01234567\ndata: 89a\n",
        b": 0123456789abcde",
        b"x" * 17,
    ):
        for size in (1, 5, len(stream)):
            decoder = EventDecoder(max_bytes=16)
            with pytest.raises(EventTooLarge, match="16 bytes"):
                feed_all(decoder, (stream[at : at + size] for at in range(0, len(stream), size)))
            with pytest.raises(ValueError, match="closed"):
                decoder.feed(b"\n\n")


def test_the_limit_is_for_one_event_not_for_the_stream():
    decoder = EventDecoder(max_bytes=16)
    assert decoder.feed(b"data: 0123456789\n\n" * 100) == [message("0123456789")] * 100
    for _ in range(100):
        assert decoder.feed(b"data: 01") == []
        assert decoder.feed(b"23456789\n\n") == [message("0123456789")]
    with pytest.raises(TypeError):
        EventDecoder(16)


# Any bytes


PARTS = [
    *(
        field + colon
        for field in (b"data", b"event", b"id", b"retry", b"", b"x")
        for colon in (b"", b":", b": ")
    ),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"),
    *(b" ", b"a", b"12", b"\0", b"\xef\xbb\xbf", b"\xff", "é\u2028💛".encode()),
]
STREAMS = st.lists(st.sampled_from(PARTS) | st.binary(max_size=3), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 200), max_size=12).map(sorted)
often = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def cut(stream, places):
    return [
        stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)
    ]


@often
@given(STREAMS, CUTS)
def test_any_cut_of_the_same_bytes_gives_the_same_events(stream, places):
    whole = read([stream])
    assert read(cut(stream, places)) == whole
    assert read(bytes([byte]) for byte in stream) == whole


@often
@given(STREAMS, CUTS, st.integers(0, 40))
def test_any_cut_of_the_same_bytes_is_refused_or_none(stream, places, limit):
    def refused(pieces):
        try:
            feed_all(EventDecoder(max_bytes=limit), pieces)
        except EventTooLarge:
            return True
        return False

    assert (
        refused(cut(stream, places))
        == refused(bytes([byte]) for byte in stream)
        == refused([stream])
    )


# Another parser


if shutil.which("node") is None:
    missing = "there is no node"
elif not (NODE / "node_modules" / "eventsource-parser").is_dir():
    missing = "Node's packages are not installed: make tests/node/node_modules/.installed"
else:
    missing = ""


class Streams(random.Random):
    """Random streams, half of them mostly well-formed.

    They lack two things in which the JavaScript parser departs from the standard: `ï»¿` at the
    beginning, which it takes for a byte order mark, and numbers over 2**53. (This library's parser
    ignores times over 2**64.)
    """

    FIELDS = (
        *["data"] * 12,
        *["id"] * 2,
        *["event"] * 2,
        *["retry"] * 2,
        "",
        "Data",
        "datas",
        "dat",
        "x",
        " data",
    )
    COLONS = (": ", ": ", ":", ":  ", "")
    PLAIN = ("", "a", "b c", " two", "a:b", ":", "12", "0050", "1e3", "done")
    ODD = ("\0", "\ufeff", "é", "💛", "\u2028", "\x85", "\x0b\x0c")
    NOT_UTF_8 = (b"\xff", b"a\xc3", b"\xe2\x80b", b"\xf0\x9f\x92", b"\x80", b"\xed\xa0\x80 ")
    VALUES = (*PLAIN, *ODD, *NOT_UTF_8)
    ENDS = ("\n", "\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r", "\r\n\n", "\n\r")

    def line(self):
        return [self.choice(kind) for kind in (self.FIELDS, self.COLONS, self.VALUES, self.ENDS)]

    def scrap(self):
        return [self.choice(self.choice((self.FIELDS, self.COLONS, self.VALUES, self.ENDS)))]

    def stream(self):
        make = self.choice((self.line, self.scrap))
        parts = [part for _ in range(self.randrange(1, 30)) for part in make()]
        mark = self.choice((b"", b"", b"", b"\xef\xbb\xbf", b"\xef\xbb"))
        return mark + b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)

    def pieces(self):
        stream = self.stream()
        size = self.choice((1, 4, 30, 1000))
        return cut(
            stream, sorted(self.randrange(len(stream) + 1) for _ in range(len(stream) // size))
        )


@pytest.mark.skipif(bool(missing), reason=missing)
def test_another_s_parser_reads_the_same():
    make = Streams(1)
    streams = [make.pieces() for _ in range(4000)]
    lines = "".join(
        json.dumps([base64.b64encode(piece).decode() for piece in pieces]) + "\n"
        for pieces in streams
    )
    done = subprocess.run(
        ["node", NODE / "events.mjs"],
        input=lines,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    for pieces, their in zip(streams, theirs, strict=True):
        events, id, retry = read(pieces)
        ours = {
            "events": [[str(each.event), each.data, each.id] for each in events],
            "id": id,
            "retry": retry,
        }
        assert ours == their, pieces
    assert sum(len(each["events"]) for each in theirs) > 8_000
