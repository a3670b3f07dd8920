"""What public callables of the package take, options of `**options: Unpack[…]` included."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent / "python" / "replicate_rs"


def _typed_dicts() -> dict[str, dict[str, str]]:
    """The fields of each class of options and their types, those of its bases included; they exist for type checkers only."""
    fields: dict[str, dict[str, str]] = {}
    for module in ("_operation", "creation", "identifier", "options"):
        for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
            if isinstance(node, ast.ClassDef):
                inherited = [fields.get(ast.unparse(base), {}) for base in node.bases]
                own = {each.target.id: ast.unparse(each.annotation) for each in node.body if isinstance(each, ast.AnnAssign)}
                fields[node.name] = {name: kind for base in inherited for name, kind in base.items()} | own
    return fields


OPTIONS = _typed_dicts()


def parameters(function: Any) -> dict[str, str] | None:
    """The names and annotations of what a callable takes by name, or None if it takes any name."""
    found = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            options = re.fullmatch(r"Unpack\[(\w+)\]", parameter.annotation)
            if options is None:
                return None
            found |= OPTIONS[options[1]]
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            found[parameter.name] = parameter.annotation
    return found
