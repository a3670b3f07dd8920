"""Output files are saved: the path is complete, or as it was before."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from replicate_rs import FileOutput, Replicate, exceptions
from support.downloads import names, save
from support.hosts import CONTENT, Host, until
from support.wire import Wire, reply

pytest_plugins = ["support.file_fixtures"]


def test_it_is_saved_with_the_permissions_of_open(both, tmp_path):
    before = os.umask(0o027)
    try:
        with Host() as host:
            output = host.file(both.client("https://x.test"))
            assert stat.S_IMODE(save(both, output, tmp_path / "new").stat().st_mode) == 0o640
            (tmp_path / "own").touch(0o600)
            assert stat.S_IMODE(save(both, output, str(tmp_path / "own")).stat().st_mode) == 0o600
            (tmp_path / "link").symlink_to("own")
            save(both, output, tmp_path / "link")
            assert (tmp_path / "link").is_symlink()
            assert (tmp_path / "own").read_bytes() == CONTENT
    finally:
        os.umask(before)


def test_what_is_there_is_kept_if_asked(both, old):
    with Host() as host:
        client = both.client("https://x.test")
        for output in (host.file(client), FileOutput("data:,new", client)):
            with pytest.raises(exceptions.FileError, match=r"out\.bin"):
                save(both, output, old, overwrite=False)
            assert old.read_bytes() == b"old"
            new = old.with_name("new")
            save(both, output, new, overwrite=False)
            assert names(old.parent) == ["new", "out.bin"]
            new.unlink()
        assert len(host.seen) == 1


@pytest.mark.parametrize("name", ["nowhere/x", "", "a\0b", "file/x", "x" * 256])
def test_a_target_that_cannot_be_written_is_an_error_before_anything_is_fetched(
    both, name, tmp_path
):
    (tmp_path / "file").touch()
    with Host() as host:
        client = both.client("https://x.test")
        for output in (host.file(client), FileOutput("data:,x", client)):
            with pytest.raises(exceptions.FileError):
                save(both, output, tmp_path / name)
        if len(name) < 256:
            assert not host.seen
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_the_caller_s_is_an_error(both, tmp_path):
    tmp_path.chmod(0o500)
    with Host() as host, pytest.raises(exceptions.FileError, match="Permission denied"):
        save(both, host.file(both.client("https://x.test")), tmp_path / "x")


def test_a_file_goes_where_its_path_led_when_it_was_begun(both, tmp_path, monkeypatch):
    """The current folder may change during the download."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def script(_):
        os.chdir(tmp_path / "there")
        return reply(CONTENT)

    with Wire(script) as wire:
        save(both, FileOutput(f"{wire.origin}/x", both.client("https://x.test")), "out.bin")
    assert (names(tmp_path / "here"), names(tmp_path / "there")) == (["out.bin"], [])


def test_a_longest_name_can_be_saved(both, tmp_path):
    with Host() as host:
        assert (
            save(
                both, host.file(both.client("https://x.test")), tmp_path / ("x" * 255)
            ).read_bytes()
            == CONTENT
        )


def test_a_full_disk_is_an_error(both, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount")
    try:
        (disk / "out.bin").write_bytes(b"old")
        with Host() as host:
            client = both.client("https://x.test")
            for output in (host.file(client), FileOutput("data:," + "x" * 200_000, client)):
                with pytest.raises(exceptions.FileError, match="No space left") as caught:
                    save(both, output, disk / "out.bin")
                assert caught.value.errno == 28
                assert names(disk) == ["out.bin"]
                assert (disk / "out.bin").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


LIMITED = """
import resource, sys
from pathlib import Path
from replicate_rs import FileOutput, Replicate, exceptions
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
target = Path(sys.argv[2])
try:
    FileOutput(sys.argv[1], Replicate("t")).save(target)
except exceptions.FileError as error:
    print(error.errno, *[each.name for each in target.parent.iterdir()], target.read_text())
"""


def test_a_file_that_may_not_be_so_large_is_an_error(old):
    with Host() as host:
        program = [sys.executable, "-c", LIMITED, f"{host.origin}/x", str(old)]
        assert (
            subprocess.run(program, capture_output=True, text=True, check=True, timeout=20).stdout
            == "27 out.bin old\n"
        )


def test_a_save_that_is_given_up_leaves_nothing(old):
    def halfway(connection):
        connection.sendall(reply(CONTENT, length=2 * len(CONTENT)))
        arrived.set()
        while connection.recv(4096):
            pass

    arrived = threading.Event()
    with Wire(lambda _: halfway) as wire:
        output = FileOutput(f"{wire.origin}/x", Replicate("t"))

        async def cancelled():
            task = asyncio.create_task(output.asave(old))
            await asyncio.to_thread(arrived.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(until, lambda: names(old.parent) == ["out.bin"])

        asyncio.run(asyncio.wait_for(cancelled(), 10))

        arrived.clear()
        main = threading.main_thread().ident

        def interrupt():
            arrived.wait()
            signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            output.save(old)
        assert names(old.parent) == ["out.bin"]
        wire.until(lambda: wire.open_now == 0)
    assert old.read_bytes() == b"old"
