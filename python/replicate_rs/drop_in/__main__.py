"""Run a program, a module or code as Python does, with this package as `replicate`."""

from __future__ import annotations

import sys

from ..drop_in import install, path

USAGE = """\
usage: python -m replicate_rs.drop_in (program.py | -m module | -c code | -) [argument ...]
       python -m replicate_rs.drop_in --path"""


def main(arguments: list[str]) -> None:
    """Run the program that the arguments name.

    Args:
        arguments: The command line without the name of the module.

    """
    match arguments:
        case ["--path"]:
            sys.stdout.write(path() + "\n")
        case ["-m", module, *rest] if not module.startswith("-"):
            _run_module(module, rest)
        case ["-c", code, *rest]:
            _run_code(code, "<string>", ["-c", *rest])
        case ["-", *rest]:
            _run_code(sys.stdin.read(), "<stdin>", ["-", *rest])
        case [program, *rest] if not program.startswith("-"):
            _run_program(program, rest)
        case _:
            sys.exit(USAGE)


def _run_module(module: str, rest: list[str]) -> None:
    from runpy import run_module

    install()
    sys.argv = [module, *rest]
    run_module(module, run_name="__main__", alter_sys=True)


def _run_program(program: str, rest: list[str]) -> None:
    from pathlib import Path
    from runpy import run_path

    file = Path(program)
    if not file.exists():
        sys.exit(f"{USAGE}\nthere is no {program}")
    _replace_first_path(str(file.resolve().parent))
    install()
    sys.argv = [program, *rest]
    run_path(program, run_name="__main__")


def _run_code(code: str, name: str, arguments: list[str]) -> None:
    from types import ModuleType

    _replace_first_path("")
    install()
    sys.argv = arguments
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(code, name, "exec"), vars(main))  # noqa: S102 - running code is what the caller asked for


def _replace_first_path(folder: str) -> None:
    """Put the program's folder first on the path, where Python has put that of this module."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


if __name__ == "__main__":
    main(sys.argv[1:])
