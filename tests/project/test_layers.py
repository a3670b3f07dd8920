"""Imports of the Python package's modules, those within functions and for type checkers included.

`make lint` checks the layers (`[tool.importlinter]` in pyproject.toml).
"""

import graphlib

import grimp
import pytest

ROOT = "replicate_rs"
# An error has the type of the prediction that it carries.
FOR_TYPES = {"replicate_rs.prediction", "replicate_rs._predictions.job"}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(ROOT, cache_dir=None)


def test_no_modules_import_each_other_in_a_circle(graph):
    sorter = graphlib.TopologicalSorter()
    for module in graph.modules - {ROOT}:
        imported = graph.find_modules_directly_imported_by(module) - {ROOT}
        sorter.add(module, *(imported - FOR_TYPES if module == f"{ROOT}.exceptions" else imported))
    sorter.prepare()


def test_no_module_imports_the_package_s_root(graph):
    """The extension `_core` has no Python source: what is imported from it counts as the root's."""
    above = f"{ROOT}.__about__"
    for module in graph.find_modules_that_directly_import(ROOT) - {above}:
        for each in graph.get_import_details(importer=module, imported=ROOT):
            assert "_core import" in each["line_contents"], each
