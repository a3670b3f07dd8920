"""Install each wheel of a folder that this Python takes, and run a program with it.

    python tools/try_wheels.py dist

Each wheel is installed into an environment of its own, with the extra `local` if its libraries have
wheels for this Python, and `tools/smoke.py` is run there. Needs only the standard library.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

SMOKE = Path(__file__).with_name("smoke.py").resolve()


def install(python: Path, *requirements: str) -> subprocess.CompletedProcess[str]:
    """Install wheels, and nothing that would have to be compiled."""
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    command = [python, *pip, "install", "--only-binary", ":all:", *requirements]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def try_wheel(wheel: Path) -> bool:
    """Run the program with a wheel; return False if the wheel is not for this Python."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, *(("Scripts",) if sys.platform == "win32" else ("bin",)), "python")
        # Without an index, so that pip takes this file or none.
        done = install(python, "--no-index", "--no-deps", str(wheel))
        if "is not a supported wheel on this platform" in done.stderr:
            return False
        if done.returncode:
            sys.exit(f"{wheel.name}: {done.stderr}")
        print(wheel.name, flush=True)
        extra = install(python, f"{wheel}[local]")
        if extra.returncode:
            print(
                f"  without the extra `local`: {extra.stderr.strip().splitlines()[-1]}", flush=True
            )
        # Not in the checkout, whose package would be imported.
        if subprocess.run([python, "-W", "error", SMOKE], cwd=folder, check=False).returncode:
            sys.exit(f"{wheel.name}: the program failed")
    return True


def main() -> None:
    """Try all wheels."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    wheels = sorted(Path(sys.argv[1]).resolve().glob("*.whl"))
    tried = [each for each in wheels if try_wheel(each)]
    if not tried:
        sys.exit(f"none of {len(wheels)} wheels in {sys.argv[1]} is for {sys.executable}")
    print(f"{len(tried)} of {len(wheels)} wheels are for this Python, and work")


if __name__ == "__main__":
    main()
