"""Check the Rust core for other platforms, and run its tests there.

These are `make check-platforms` and `make test-platforms`. Compilers are Debian's and zig, in
`.platforms`. The standard library of the other platforms is compiled from Debian's `rust-src`,
because Debian has it in binary form for few.
"""

from __future__ import annotations

import argparse
import sys
import time

from debian import ROOT, Folder, SetupError, output

PLACE = ROOT / ".platforms"
PACKAGES = (
    "cargo",
    "coreutils",
    "dash",
    "gcc",
    "gcc-aarch64-linux-gnu",
    "gcc-mingw-w64-x86-64-win32",
    "libc6-dev",
    "libc6-dev-arm64-cross",
    "mawk",
    "qemu-user",
    "rust-clippy",
    "rust-src",
    "rustc",
    "sed",
    "wine64",
)
# A C compiler for platforms that Debian has none for.
ZIG = "ziglang==0.13.0"
# The C compiler, and what runs programs of the target, if anything must.
TARGETS = {
    "x86_64-pc-windows-gnu": ("x86_64-w64-mingw32-gcc-win32", "wine64-stable"),
    "aarch64-unknown-linux-gnu": (
        "aarch64-linux-gnu-gcc",
        "qemu-aarch64 -L /usr/aarch64-linux-gnu",
    ),
    "x86_64-unknown-linux-musl": ("zig x86_64-linux-musl", None),
    "aarch64-apple-darwin": ("zig aarch64-macos", None),
}
# CPython 3.14 without the GIL, on this machine's platform.
FREE_THREADED = "3.14t"
HOST = "x86_64-unknown-linux-gnu"
# Of PyO3, instead of asking an interpreter.
FREE_THREADED_CONFIG = """implementation=CPython
version=3.14
shared=true
pointer_width=64
build_flags=Py_GIL_DISABLED
suppress_build_script_link_lines=true
"""
# rustc calls the C compiler with an option for the target that zig spells in another way.
ZIG_WRAPPER = """#!/bin/sh
for argument do
    shift
    case $argument in --target=*) ;; *) set -- "$@" "$argument" ;; esac
done
exec /clone/.platforms/zig/ziglang/zig cc -target {target} "$@"
"""
ZIG_AR = '#!/bin/sh\nexec /clone/.platforms/zig/ziglang/zig ar "$@"\n'


def set_up() -> Folder:
    """Return the folder of the compilers."""
    PLACE.mkdir(exist_ok=True)
    folder = Folder(PLACE, "sid")
    folder.unpack(*PACKAGES)
    zig = PLACE / "zig"
    if not zig.exists():
        new = PLACE / "new-zig"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        output(*pip, "--no-compile", "--target", new, ZIG)
        new.rename(zig)
    programs = {"zig-ar": ZIG_AR}
    for target, (compiler, _) in TARGETS.items():
        if compiler.startswith("zig "):
            programs[f"zig-{target}"] = ZIG_WRAPPER.format(target=compiler.split()[1])
    for name, text in programs.items():
        path = folder.root / "usr/bin" / name
        path.write_text(text)
        path.chmod(0o755)
    (PLACE / "3.14t.txt").write_text(FREE_THREADED_CONFIG)
    return folder


def variables(target: str) -> dict[str, str]:
    """Return the environment of cargo for a target."""
    common = {
        "CARGO_HOME": "/clone/.platforms/cargo",
        "CARGO_TARGET_DIR": "/clone/.platforms/target",
        "CARGO_INCREMENTAL": "0",
        "CARGO_PROFILE_DEV_DEBUG": "0",
        # Lets the stable compiler build the standard library.
        "RUSTC_BOOTSTRAP": "1",
    }
    if target == FREE_THREADED:
        return common | {"PYO3_CONFIG_FILE": "/clone/.platforms/3.14t.txt"}
    compiler, runner = TARGETS[target]
    if compiler.startswith("zig "):
        compiler, archiver = f"zig-{target}", "zig-ar"
    else:
        archiver = compiler.replace("-gcc", "-ar").removesuffix("-win32")
    name = target.replace("-", "_")
    own = {
        f"CC_{name}": compiler,
        f"AR_{name}": archiver,
        f"CARGO_TARGET_{name.upper()}_LINKER": compiler,
        # The stable ABI needs no interpreter.
        "PYO3_NO_PYTHON": "1",
        # As maturin does: the extension is not linked to libpython.
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        "WINEPREFIX": "/clone/.platforms/wine",
        "WINEDEBUG": "-all",
    }
    if target == "aarch64-apple-darwin":
        # All processors of Apple have instructions that zig leaves out.
        own[f"CFLAGS_{name}"] = "-mcpu=apple_m1"
    if runner is not None:
        own[f"CARGO_TARGET_{name.upper()}_RUNNER"] = runner
    return common | own


def options(target: str) -> list[str]:
    """Return cargo's options for a target."""
    if target == FREE_THREADED:
        return ["--locked", "--target", HOST, "--no-default-features", "--features", "python"]
    return ["--locked", "--target", target, "-Z", "build-std=std,panic_unwind"]


def check(folder: Folder, target: str) -> int:
    """Compile the package for a target, with clippy's lints; return the exit code."""
    command = ["cargo", "clippy", "--quiet", *options(target), "--", "-D", "warnings"]
    if target == "x86_64-pc-windows-gnu":
        # Does not recognise the `const` that is already there in what `thread_local!` becomes.
        command += ["-A", "clippy::missing-const-for-thread-local"]
    return folder.run(*command, **variables(target))


def test(folder: Folder, target: str) -> int:
    """Run the core's tests; return the exit code."""
    command = ("cargo", "test", "--quiet", "--no-default-features", "--lib", *options(target))
    return folder.run(*command, **variables(target))


def main() -> int:
    """Check or test each target."""
    parser = argparse.ArgumentParser(description="Check the Rust core for other platforms.")
    parser.add_argument("action", choices=("check", "test"))
    parser.add_argument("targets", nargs="+", choices=(*TARGETS, FREE_THREADED))
    arguments = parser.parse_args()
    action = {"check": check, "test": test}[arguments.action]
    try:
        folder = set_up()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    results = {}
    for target in arguments.targets:
        start = time.monotonic()
        print(f"{target}: {arguments.action}", flush=True)
        code = action(folder, target)
        minutes, seconds = divmod(round(time.monotonic() - start), 60)
        results[target] = code
        print(f"{target}: {f'failed ({code})' if code else 'passed'}, {minutes}:{seconds:02} min")
    return 1 if any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
