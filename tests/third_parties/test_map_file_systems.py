"""`map` saves files in file systems of fsspec."""

import fsspec
import pytest

import replicate_rs as replicate
from replicate_rs.batch import Journal
from replicate_rs.exceptions import FileError
from replicate_rs.local import LocalReplicate


@pytest.fixture
def client():
    server = LocalReplicate()

    @server.model("acme/painter")
    def painter(text: str, count: int = 1) -> list[bytes]:
        return [text.encode() * 1000 * number for number in range(1, count + 1)]

    with server:
        yield replicate.Replicate(server.token, base_url=server.base_url)


INPUTS = [("a", {"text": "a"}), ("b", {"text": "b", "count": 2})]


@pytest.mark.parametrize("kind", ["memory://images", "file://{folder}/images", "{folder}/images"])
def test_files_are_saved_under_their_keys(client, kind, tmp_path):
    place = kind.format(folder=tmp_path)
    journal = tmp_path / "runs.db"
    for is_second in (False, True):
        results = [
            *client.map("acme/painter", INPUTS, save_to=place, journal=journal, ordered=True)
        ]
        assert [each.from_journal for each in results] == [is_second] * 2
        names = [[str(file).rpartition("/")[2] for file in each.files] for each in results]
        assert names == [["a.bin"], ["b.1.bin", "b.2.bin"]]
        for each in results:
            for number, file in enumerate(each.files, 1):
                with fsspec.open(str(file), "rb") as saved:
                    assert saved.read() == each.key.encode() * 1000 * number
    with Journal(journal) as opened:
        assert [[str(file) for file in each.files] for each in opened.results()] == [
            [str(file) for file in each.files] for each in results
        ]


def test_a_file_system_that_fails_ends_the_run(client, monkeypatch):
    system = fsspec.filesystem("memory")

    def put_file(*_, **__):
        raise OSError(28, "no space left")

    monkeypatch.setattr(type(system), "put_file", put_file)
    with pytest.raises((FileError, OSError), match="no space left"):
        [*client.map("acme/painter", INPUTS, save_to="memory://full")]


def test_a_protocol_that_is_not_known_is_named(client):
    with pytest.raises(ValueError, match="nowhere"):
        [*client.map("acme/painter", INPUTS, save_to="nowhere://x")]
