"""Lists of files in IPython, its terminal, and progress bars in notebooks."""

import sys
import types

import pytest

from conftest import script
from replicate_rs._base import progress_bar
from replicate_rs._base.progress_bar import ProgressBar

pytest.importorskip("IPython")

PIXEL = "data:image/png;base64,iVBORw0KGgo="
PROGRAM = """
import json, os, sys, tempfile
os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
{shell}
from replicate_rs import Prediction, Replicate
client = Replicate("r8_secret", fetch=lambda request, send: sys.exit("fetched"))
def form(value):
    return shell.display_formatter.format(value)[0]
def files(output):
    return Prediction(id="p", status="succeeded", output=output)._in(client._mode).files()
{code}
"""
NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
"""
TERMINAL = """
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance(simple_prompt=True)
"""


def run(code, shell=NOTEBOOK):
    return script(PROGRAM.format(shell=shell, code=code))


def test_a_list_of_files_is_a_contact_sheet():
    run(f"""
pixel = {PIXEL!r}
shown = form(files([pixel, pixel]))
assert shown["text/html"].count(pixel) == 2
assert shown["text/plain"].count("FileOutput(") == 2
nested = [files([pixel]), files([pixel, pixel])]
assert form(nested)["text/html"].count(pixel) == 3
for other in ([], [1], ["a"], [[]], [files([pixel])[0], "a"], files([pixel]) * 2 + [None]):
    assert "text/html" not in form(other), other
class Own(list):
    def _repr_html_(self):
        return "own"
assert form(Own([1]))["text/html"] == "own"
assert "text/html" not in form(type("Plain", (list,), {{}})([1]))
""")


def test_a_user_s_own_form_of_lists_stays():
    run(
        f"assert form(files([{PIXEL!r}]))['text/html'] == 'own'",
        NOTEBOOK
        + "shell.display_formatter.formatters['text/html'].for_type(list, lambda _: 'own')\n",
    )


def test_a_terminal_shows_text_and_fetches_nothing():
    run(
        """
found = files(["https://x.test/a.png"])
assert set(form(found)) == set(form(found[0])) == {"text/plain"}
assert list not in shell.display_formatter.formatters["text/html"].type_printers
""",
        TERMINAL,
    )


@pytest.fixture
def displayed(monkeypatch):
    """What a notebook displays, and with what each replaces it."""
    shown = []

    class Handle:
        def update(self, state):
            shown[-1].append(state)

    def display(state, *, display_id):
        assert display_id is True
        shown.append([state])
        return Handle()

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    module = types.ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(progress_bar, "INTERVAL", 0.0)
    monkeypatch.setattr(progress_bar.NotebookBar, "interval", 0.0)
    return shown


def test_a_notebook_has_a_bar_of_html(displayed, capsys):
    bar = ProgressBar(None, "files", "<b>save</b>")
    bar.update(1)
    bar.update(2, 4, failed=1)
    bar.close()
    bar.update(3)
    ((*first, last),) = displayed
    assert [repr(each) for each in (*first, last)] == [
        "<b>save</b>: 1 files, 0 s",
        "<b>save</b>: 2 of 4 files, 0 s, failed 1",
        "<b>save</b>: 2 of 4 files, 0 s, failed 1",
    ]
    html = last._repr_html_()
    assert '<progress value="2" max="4"' in html
    assert "&lt;b&gt;save" in html
    assert "value=" not in first[0]._repr_html_()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_of_ipython_is_no_notebook(displayed):
    sys.modules["IPython"].get_ipython = lambda: types.SimpleNamespace()
    assert not progress_bar.is_notebook()
    sys.modules["IPython"].get_ipython = lambda: None
    assert not progress_bar.is_notebook()
