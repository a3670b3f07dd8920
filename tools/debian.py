"""Debian's packages in a folder: unpacked with all that they depend on, not installed.

Neither root nor the machine's own package database is needed. Programs that find their files under
`/usr` run in the folder with `Folder.run`, which sees the clone as `/clone`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What the machine has and the folder needs, for downloads and for programs that ask the kernel.
SHARED = ("/dev", "/proc", "/etc/ssl", "/etc/resolv.conf", "/etc/hosts")


class SetupError(Exception):
    """Something that the setup needs is missing."""


def output(*command: str | Path) -> str:
    """Return what a command prints. Its errors are those of the setup."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


class Folder:
    """A folder with packages of a suite."""

    def __init__(self, place: Path, suite: str) -> None:
        self.place = place
        self.suite = suite
        self.root = place / suite

    def unpack(self, *packages: str) -> None:
        """Download and unpack packages, unless that was done before."""
        missing = [name for name in ("apt-get", "dpkg-deb", "unshare") if not shutil.which(name)]
        if missing or not KEYS.exists():
            wanted = ", ".join([*missing, *([] if KEYS.exists() else [KEYS.name])])
            raise SetupError(f"this needs a Debian or Ubuntu with {wanted}")
        content = self.root / "packages"
        if content.exists() and content.read_text().split() == sorted(packages):
            return
        print(f"Unpacking packages of Debian's {self.suite}, which takes minutes", flush=True)
        self._read_suite()
        self._apt("install", "-y", "--download-only", "base-files", *packages)
        new = self.place / f"new-{self.suite}"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        archives = sorted(self.place.glob("cache/archives/*.deb"))
        # Its links `/bin` and `/lib` must be there before what is in them.
        for archive in sorted(archives, key=lambda path: not path.name.startswith("base-files_")):
            output("dpkg-deb", "-x", archive, new)
            archive.unlink()
        for path in SHARED:
            place = new / path[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            if Path(path).is_dir():
                place.mkdir(exist_ok=True)
            else:
                place.touch()
        for name in ("clone", "tmp", "root"):
            (new / name).mkdir(exist_ok=True)
        # Packages leave such links to their installation.
        for name, program in {"cc": "gcc", "awk": "mawk"}.items():
            link = new / "usr/bin" / name
            link.unlink(missing_ok=True)
            link.symlink_to(program)
        (new / "packages").write_text("\n".join(sorted(packages)))
        shutil.rmtree(self.root, ignore_errors=True)
        new.rename(self.root)

    def run(self, *command: str, **variables: str) -> int:
        """Run a command in the clone, as it is seen from the folder; return its exit code.

        What is mounted is seen by this command only, and is gone when it ends.
        """
        mounts = [
            f"mount --rbind {path} {shlex.quote(str(self.root) + path)}"
            for path in SHARED
            if Path(path).exists()
        ]
        mounts.append(f"mount --bind {shlex.quote(str(ROOT))} {shlex.quote(f'{self.root}/clone')}")
        inside = f"cd /clone && exec {shlex.join(command)}"
        enter = f"exec chroot {shlex.quote(str(self.root))} /bin/sh -c {shlex.quote(inside)}"
        # Without root, a user namespace allows the mounts.
        user = () if os.geteuid() == 0 else ("--map-root-user",)
        return subprocess.run(
            [
                shutil.which("unshare") or "",
                *user,
                "--mount",
                "/bin/sh",
                "-ec",
                "\n".join([*mounts, enter]),
            ],
            env=os.environ
            | {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
            | variables,
            check=False,
        ).returncode

    def _read_suite(self) -> None:
        """Set up apt with a state of its own, and the machine's mirror."""
        addresses = output("apt-get", "indextargets", "--format", "$(REPO_URI)").split()
        mirror = next((each for each in addresses if each.endswith("/debian/")), None)
        if mirror is None:
            raise SetupError("this machine's package manager has no mirror of Debian")
        for name in ("etc", "state/lists/partial", "cache/archives/partial"):
            (self.place / name).mkdir(parents=True, exist_ok=True)
        # Nothing is installed there, so the libraries are downloaded too.
        (self.place / "state/status").touch()
        (self.place / "etc/sources.list").write_text(
            f"deb [signed-by={KEYS}] {mirror} {self.suite} main\n"
        )
        self._apt("update")

    def _apt(self, *arguments: str) -> None:
        settings = {
            "Dir::Etc": self.place / "etc",
            "Dir::Etc::sourcelist": self.place / "etc/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": self.place / "state",
            "Dir::State::status": self.place / "state/status",
            "Dir::Cache": self.place / "cache",
            "APT::Install-Recommends": "false",
            # The user that root's apt changes to may not see the clone.
            "APT::Sandbox::User": "",
        }
        options = [each for item in settings.items() for each in ("-o", "{}={}".format(*item))]
        output("apt-get", *options, *arguments)
