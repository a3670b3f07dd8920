"""What a release checks of itself, and that its workflows call what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools"))

import release

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
USES = re.compile(r"uses: (\S+)(.*)")


@pytest.fixture
def project(tmp_path):
    """A project whose version is 1.2.3 everywhere."""
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "replicate_rs"\nversion = "1.2.3"\n')
    (tmp_path / "Cargo.lock").write_text('[[package]]\nname = "replicate_rs"\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2026-12-31)\n\n* New.\n")
    return tmp_path


def test_a_tag_that_agrees_with_all_versions(project):
    assert release.check_tag("v1.2.3", project) == []


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2", "v1.2.3-rc.1", "main", "v1.2.3\n"])
def test_a_tag_that_is_no_version(project, tag):
    (error,) = release.check_tag(tag, project)
    assert "is not a version such as" in error


def test_each_place_with_another_version_is_named(project):
    errors = release.check_tag("v1.2.4", project)
    assert [each.split()[0] for each in errors] == ["Cargo.toml", "Cargo.lock", "CHANGELOG.md"]


@pytest.mark.parametrize(
    "heading", ["1.2.3", "1.2.3 (not released)", "1.2.3 2026-12-31", "1.2.3 (31.12.2026)", ""]
)
def test_a_section_of_the_changelog_without_its_date(project, heading):
    (project / "CHANGELOG.md").write_text(f"# Changelog\n\n## {heading}\n")
    (error,) = release.check_tag("v1.2.3", project)
    assert error.startswith("CHANGELOG.md begins with")


def test_this_project_has_one_version():
    versions = release.read_versions(ROOT)
    assert versions["Cargo.toml"] == versions["Cargo.lock"]
    assert versions["CHANGELOG.md"].split()[0] == versions["Cargo.toml"]


TAGS = {
    "manylinux2014_x86_64": "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "manylinux2014_aarch64": "manylinux2014_aarch64",
    "macosx_x86_64": "macosx_10_12_x86_64",
    "macosx_arm64": "macosx_11_0_arm64",
}


@pytest.fixture
def files():
    """The names of all distributions, as maturin names them."""
    wheels = [
        f"replicate_rs-1.2.3-{python}-{TAGS.get(platform, platform)}.whl"
        for python in release.PYTHONS
        for platform in release.PLATFORMS
    ]
    return [*wheels, "replicate_rs-1.2.3.tar.gz"]


def test_a_complete_release(files):
    assert len(files) == 57
    assert release.check_files(files, "1.2.3") == []
    both = [each.replace("-abi3t-", "-abi3.abi3t-") for each in files]
    assert release.check_files(both, "1.2.3") == []


def test_what_is_missing_is_named(files):
    files.remove("replicate_rs-1.2.3-cp314-cp314t-win_arm64.whl")
    files.remove("replicate_rs-1.2.3.tar.gz")
    assert release.check_files(files, "1.2.3") == [
        "missing: cp314-cp314t-win_arm64",
        "missing: replicate_rs-1.2.3.tar.gz",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "replicate_rs-1.2.4-cp311-abi3-win_amd64.whl",
        "replicate_rs-1.2.3-cp311-abi3-linux_x86_64.whl",
        "replicate_rs-1.2.3-cp311-abi3-manylinux_2_34_x86_64.whl",
        "replicate_rs-1.2.3-cp310-cp310-win_amd64.whl",
        "notes.txt",
    ],
)
def test_what_does_not_belong_there_is_named(files, name):
    (error,) = release.check_files([*files, name], "1.2.3")
    assert error.startswith("not expected: ")


def test_two_wheels_for_one_platform_are_named(files):
    name = "replicate_rs-1.2.3-cp311-abi3-macosx_10_13_x86_64.whl"
    assert release.check_files([*files, name], "1.2.3") == ["twice: cp311-abi3-macosx_x86_64"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_and_files_that_exist(path):
    text = path.read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = " ".join(re.findall(r"\bmake ((?:[a-z][a-z-]* )*[a-z][a-z-]*)", text)).split()
    assert {"test", "check-sdist"} <= {*targets} or {"wheels", "check-wheels"} <= {*targets}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for name in re.findall(r"\b((?:tools|tests|\.ci)/[\w./-]+\w)", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version(path):
    for name, comment in USES.findall(path.read_text()):
        # `$/` is this repository, at the commit that runs.
        if not name.startswith("$/"):
            assert re.search(r"@[0-9a-f]{40}$", name), name
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), name


def test_an_action_has_one_version():
    found = {}
    for path in WORKFLOWS:
        for name, _ in USES.findall(path.read_text()):
            action, _, commit = name.partition("@")
            assert found.setdefault(action, commit) == commit, action


def test_a_release_publishes_only_when_all_jobs_passed():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    jobs = re.findall(r"^  ([\w-]+):$", text[text.index("\njobs:") :], re.MULTILINE)
    publish = text[text.index("\n  publish:") :]
    needed, published = re.findall(r"needs: \[(.*)\]", publish)
    assert sorted(needed.split(", ")) == sorted({*jobs} - {"publish", "site"})
    # The site says what can be installed.
    assert published == "publish"
    assert text.count("id-token: write") == 1
    assert "id-token: write" in publish


def run(*arguments, folder):
    command = [sys.executable, ROOT / "tools" / "release.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_program_fails_with_everything_that_is_wrong(tmp_path):
    done = run("v0.0.0", tmp_path, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Cargo.toml has version" in done.stderr
    assert done.stderr.count("missing: ") == 57


def test_the_program_says_how_it_is_used(tmp_path):
    done = run(folder=tmp_path)
    assert done.returncode == 1
    assert "python tools/release.py v1.2.3" in done.stderr
