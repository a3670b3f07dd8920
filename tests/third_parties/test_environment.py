"""The environment of these tests: this package in place of the official client."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import replicate
from packaging.requirements import Requirement

import replicate_rs

OURS = Path(replicate_rs.__file__).parent


def test_the_official_client_is_not_installed():
    code = "import importlib.util; print(importlib.util.find_spec('replicate'))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "None\n"
    assert OURS in Path(replicate.__file__).parents
    assert OURS in Path(str(metadata.distribution("replicate").locate_file("replicate"))).parents


def test_requirements_of_the_official_client_are_met():
    requirements = {}
    for distribution in metadata.distributions():
        for text in distribution.requires or []:
            requirement = Requirement(text)
            if requirement.name == "replicate":
                requirements[distribution.metadata["Name"]] = requirement.specifier
    assert {"genblaze-replicate", "llm-replicate", "universal-mcp-replicate"} <= {*requirements}
    version = metadata.version("replicate")
    assert [name for name, specifier in requirements.items() if version not in specifier] == []
