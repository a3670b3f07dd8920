"""The progress bar itself: where it is drawn, how often, and that it never raises."""

import contextlib
import io
import os
import re
import sys
import threading
import types
import warnings

import pytest

from conftest import script
from replicate_rs._base import progress_bar
from replicate_rs._base.progress_bar import ProgressBar
from support.terminals import Terminal

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def without_tqdm(monkeypatch):
    """Hide tqdm from imports."""
    monkeypatch.setitem(sys.modules, "tqdm", None)


@pytest.fixture
def terminal():
    terminal = Terminal()
    yield terminal
    terminal.close()
    assert progress_bar._lines == []


@pytest.fixture
def at_once(monkeypatch):
    """Draw every update."""
    monkeypatch.setattr(progress_bar, "INTERVAL", 0.0)
    monkeypatch.setattr(progress_bar.Line, "interval", 0.0)


def test_a_line_of_a_terminal_is_rewritten(without_tqdm, terminal, at_once):
    terminal.start()
    bar = ProgressBar(None, "B", "a.bin")
    bar.update(999)
    bar.update(12_345, 2_000_000)
    bar.update(2e9, 3e12, speed=1.25, retries=1234, hint=None)
    bar.close()
    text = terminal.close()
    assert text == (
        "\ra.bin: 999 B, 0 s"
        "\ra.bin: 12.3 kB of 2.0 MB, 0 s"
        "\ra.bin: 2.0 GB of 3,000.0 GB, 0 s, speed 1.2, retries 1,234"
        "\ra.bin: 2.0 GB of 3,000.0 GB, 0 s, speed 1.2, retries 1,234\r\n"
    )


def test_a_shorter_text_replaces_all_of_a_longer_one(without_tqdm, terminal, at_once):
    terminal.start()
    bar = ProgressBar(10, "files", "save")
    bar.update(1, note="a long note")
    bar.update(2, note=None, in_flight=3)
    bar.close()
    first, second, *_ = terminal.drawings()
    assert first == "save: 1 of 10 files, 0 s, note a long note"
    assert second == "save: 2 of 10 files, 0 s, in flight 3".ljust(len(first))


def test_a_line_is_cut_at_the_width_of_the_terminal(without_tqdm, at_once):
    terminal = Terminal(columns=20)
    terminal.start()
    bar = ProgressBar(10, "files", "a very long label " * 10)
    bar.update(1)
    bar.close()
    assert {len(each) for each in terminal.drawings()} == {19}


def test_text_cannot_control_the_terminal(without_tqdm, terminal):
    terminal.start()
    bar = ProgressBar(100, "%", "evil\x1b[2J\r\n")
    bar.update(1, status="\x1b]0;title\x07")
    bar.close()
    assert "\x1b" not in terminal.close()


def test_tqdm_draws_it(terminal, at_once):
    terminal.start()
    bar = ProgressBar(4, "files", "save\x1b")
    bar.update(1, failed=2)
    bar.update(3, 6, failed=3)
    bar.close()
    drawings = terminal.drawings()
    assert "failed 2" in "".join(drawings)
    assert drawings[-1].startswith("save :  50%|")
    assert "3/6" in drawings[-1]
    assert "failed 3" in drawings[-1]


def test_it_is_drawn_a_few_times_a_second(without_tqdm, terminal):
    terminal.start()
    bar = ProgressBar(100_000, "files", "save")
    for count in range(100_000):
        bar.update(count + 1)
    bar.close()
    drawings = terminal.drawings()
    assert len(drawings) < 20
    assert drawings[0].startswith("save: 1 of 100,000 files")
    assert drawings[-1].startswith("save: 100,000 of 100,000 files")


def test_what_was_never_updated_is_not_drawn(without_tqdm, terminal):
    terminal.start()
    ProgressBar(1, "files", "save").close()
    assert terminal.close() == ""


@pytest.mark.parametrize("has_tqdm", [False, True])
def test_after_its_end_it_is_silent(has_tqdm, terminal, at_once, request):
    terminal.start()
    if not has_tqdm:
        request.getfixturevalue("without_tqdm")
    bar = ProgressBar(1, "files", "save")
    bar.update(1)
    bar.close()
    terminal.stream.flush()
    bar.close()
    bar.update(1, late=True)
    assert "late" not in "".join(terminal.drawings())


def test_without_a_terminal_and_tqdm_nothing_is_printed(without_tqdm, monkeypatch, capsys):
    bar = ProgressBar(1, "files", "save")
    bar.update(1)
    bar.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("has_tqdm", [False, True])
@pytest.mark.parametrize("kind", ["none", "closed", "failing", "broken"])
def test_a_stderr_that_cannot_be_written_to_is_no_error(kind, has_tqdm, monkeypatch, request):
    if not has_tqdm:
        request.getfixturevalue("without_tqdm")
    if kind == "broken":
        reader, writer = os.pipe()
        os.close(reader)
        stream = os.fdopen(writer, "w", buffering=1)
    else:
        stream = {"none": None, "closed": io.StringIO(), "failing": Failing()}[kind]
    if kind == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = ProgressBar(1, "files", "save")
    bar.update(1)
    bar.update(1)
    bar.close()
    bar.close()
    if kind == "broken":
        monkeypatch.undo()
        # What tqdm could not write is still in its buffer.
        with contextlib.suppress(BrokenPipeError):
            stream.close()
    assert progress_bar._lines == []


class Failing(io.StringIO):
    """A terminal that cannot be written to."""

    def isatty(self):
        return True

    def write(self, text):
        raise RuntimeError("no")


@pytest.mark.parametrize("where", ["import", "constructor", "display", "attributes"])
def test_another_tqdm_is_no_error(where, terminal, monkeypatch, at_once):
    terminal.start()

    class Odd:
        disable = False
        total = start_t = n = pos = 0

        def __init__(self, **_):
            if where == "constructor":
                raise TypeError("no such argument")

        def set_postfix_str(self, text, refresh):
            pass

        def get_lock(self):
            return threading.Lock()

        def display(self):
            if where == "display":
                raise RuntimeError("no")

        def close(self):
            pass

    if where == "attributes":
        del Odd.start_t
    module = types.ModuleType("tqdm")
    if where != "import":
        module.tqdm = Odd
    monkeypatch.setitem(sys.modules, "tqdm", module)
    bar = ProgressBar(1, "files", "save")
    bar.update(1)
    bar.update(1)
    bar.close()
    # A tqdm that cannot be had is replaced by a line.
    assert bool(terminal.close()) == (where != "display")


def test_tqdm_s_variables_are_obeyed():
    done = script("""
        import os, sys
        os.environ |= {"TQDM_DISABLE": "1", "TQDM_MININTERVAL": "60"}
        from replicate_rs._base.progress_bar import ProgressBar
        bar = ProgressBar(1, "files", "save")
        bar.update(1, 2)
        bar.close()
        assert bar._display.interval == 0.25
        import tqdm
        del os.environ["TQDM_DISABLE"]
        for name in [name for name in sys.modules if name.startswith("tqdm")]:
            del sys.modules[name]
        bar = ProgressBar(5, "files", "other")
        for count in range(5):
            bar.update(count)
        assert bar._display.interval == 60
        bar.close()
        """)
    assert done.returncode == 0, done.stderr
    assert "save" not in done.stderr
    assert len(re.findall("other: ", done.stderr)) == 2


def test_nested_lines_share_the_terminal(without_tqdm, terminal, at_once):
    terminal.start()
    outer, inner = ProgressBar(2, "runs", "outer"), ProgressBar(9, "files", "inner")
    outer.update(1)
    inner.update(1)
    inner.close()
    outer.update(2)
    other = ProgressBar(9, "files", "other")
    other.update(3)
    outer.close()
    other.update(4)
    other.close()
    drawings = terminal.drawings()
    assert [each.partition(",")[0] for each in drawings] == [
        *("outer: 1 of 2 runs", "outer: 2 of 2 runs", "outer: 2 of 2 runs"),
        *("other: 4 of 9 files", "other: 4 of 9 files"),
    ]


def test_nested_bars_of_tqdm_have_lines_of_their_own(terminal, at_once):
    terminal.start()
    outer, inner = ProgressBar(2, "runs", "outer"), ProgressBar(9, "files", "inner")
    outer.update(1)
    inner.update(1)
    inner.close()
    outer.update(2)
    outer.close()
    drawings = terminal.drawings()
    assert any(each.startswith("inner:") for each in drawings)
    assert drawings[-1].startswith("outer: 100%|")


@pytest.mark.parametrize("has_tqdm", [False, True])
def test_any_thread_may_update_it(has_tqdm, terminal, at_once, request):
    terminal.start()
    if not has_tqdm:
        request.getfixturevalue("without_tqdm")
    bar = ProgressBar(8 * 200, "files", "save")

    def work():
        for count in range(200):
            bar.update(count, count=count)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bar.update(1600)
    bar.close()
    assert "1600" in terminal.drawings()[-1].replace(",", "")


def test_a_drawing_that_hangs_holds_nobody_up(without_tqdm, terminal, monkeypatch):
    terminal.start()
    monkeypatch.setattr(progress_bar, "MAX_WAIT", 0.01)
    bar = ProgressBar(1, "files", "save")
    with progress_bar._drawing:
        bar.update(1)
        bar.close()
    assert terminal.close() == ""


def test_a_forked_child_does_not_draw(without_tqdm, terminal, at_once):
    terminal.start()
    bar = ProgressBar(2, "files", "save")
    bar.update(1)
    with warnings.catch_warnings():
        # CPython warns of the threads of other tests.
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)
        child = os.fork()
    if child == 0:
        bar.update(2)
        bar.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(terminal.drawings()) == 1
    bar._is_over = True
    progress_bar._lines.clear()


def test_tqdm_is_imported_when_it_is_needed():
    done = script("""
        import sys
        import replicate_rs
        client = replicate_rs.Replicate("r8_x")
        client.run, client.files.create, replicate_rs.save_all
        from replicate_rs._base import progress_bar
        assert not {"tqdm", "typing"} & sys.modules.keys()
        bar = progress_bar.ProgressBar(1, "files", "save")
        assert "tqdm" not in sys.modules
        bar.update(1)
        assert "tqdm" in sys.modules
        """)
    assert done.returncode == 0, done.stderr
