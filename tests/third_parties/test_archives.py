"""Archives that unpack themselves when they start: shiv and pex."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import replicate_rs

PACKAGE = Path(replicate_rs.__file__).parent
SMOKE = Path(__file__).parents[2] / "tools" / "smoke.py"
NAME = f"replicate_rs-{replicate_rs.__version__}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the package that this environment sees, for this interpreter only."""
    folder = tmp_path_factory.mktemp("wheel")
    site = folder / "site"
    shutil.copytree(
        PACKAGE, site / "replicate_rs", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    about = site / f"{NAME}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: replicate-rs\nVersion: {replicate_rs.__version__}\n"
    )
    (about / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n")
    paths = sorted(path for path in site.rglob("*") if path.is_file())
    names = [path.relative_to(site).as_posix() for path in paths]
    record = f"{NAME}.dist-info/RECORD"
    target = folder / f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, name in zip(paths, names, strict=True):
            archive.write(path, name)
        archive.writestr(record, "".join(f"{name},,\n" for name in [*names, record]))
    return target


def check(archive: Path, folder: Path, **environment: str) -> None:
    """Run the program that checks packages, with the archive as its interpreter."""
    done = subprocess.run(
        [sys.executable, "-I", archive, SMOKE],
        cwd="/",
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert str(folder) in done.stdout.splitlines()[0]
    assert "TLS work" in done.stdout


@pytest.mark.timeout(300)
def test_shiv(wheel: Path, tmp_path: Path) -> None:
    archive, unpacked = tmp_path / "app.shiv", tmp_path / "unpacked"
    command = [sys.executable, "-m", "shiv", "-q", "-o", archive, "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, timeout=200)
    check(archive, unpacked, SHIV_ROOT=str(unpacked))


@pytest.mark.timeout(300)
def test_pex(wheel: Path, tmp_path: Path) -> None:
    archive, unpacked = tmp_path / "app.pex", tmp_path / "unpacked"
    command = [sys.executable, "-m", "pex", "--no-pypi", "-o", archive, wheel]
    environment = {**os.environ, "PEX_ROOT": str(tmp_path / "built")}
    subprocess.run(command, check=True, timeout=200, env=environment)
    check(archive, unpacked, PEX_ROOT=str(unpacked))
