"""Functions that report the progress of uploads."""

import pytest

from support.uploads import DATA, LARGE, ProgressLog, Uploads, rate_limited
from support.wire import hang

pytest_plugins = ["support.file_fixtures"]


def test_the_progress_of_uploads_grows_to_their_end(create):
    told = ProgressLog()
    with Uploads(lambda _: ... if told.once.wait(10) else None) as server:
        create(server, [LARGE, b"x", LARGE], upload_progress=told)
    sent = [each for each, _ in told.calls]
    assert sent == sorted(sent)
    assert all(each <= total for each, total in told.calls)
    assert told.calls[-1] == (sum(len(each.body) for each in server.uploads),) * 2
    assert len(told.calls) >= 2


def test_the_progress_of_more_uploads_than_go_together_ends_once(create, server):
    told = ProgressLog()
    create(server, [DATA * (n + 1) for n in range(20)], upload_progress=told)
    sent = [each for each, _ in told.calls]
    assert sent == sorted(sent)
    assert told.calls[-1] == (sum(len(each.body) for each in server.uploads),) * 2


def test_the_progress_of_a_file_grows_to_its_end(both):
    told = ProgressLog()
    with Uploads(lambda _: ... if told.once.wait(10) else None) as server:
        both(lambda: both.client(server.base_url).files.create(LARGE, progress=told))
    sent = [each for each, _ in told.calls]
    assert sent == sorted(sent)
    assert {total for _, total in told.calls} == {len(server.seen[0].body)}
    assert told.is_complete


def test_the_progress_of_a_retry_begins_anew_and_ends_well(both, create):
    told = ProgressLog()
    with Uploads(lambda _: rate_limited() if len(server.uploads) == 1 else ...) as server:
        create(server, LARGE, upload_progress=told)
    assert told.calls[-1] == (len(server.uploads[0].body),) * 2
    with Uploads(lambda _: rate_limited() if len(server.uploads) == 1 else ...) as server:
        both(lambda: both.client(server.base_url).files.create(LARGE, progress=told))
    assert told.is_complete


def test_a_progress_that_fails_ends_the_uploads(both):
    def failing_at(count):
        def fail(sent, total):
            server.until(lambda: len(server.uploads) == count)
            raise RuntimeError("not interested")

        return fail

    # Keeping the errors keeps their frames: the uploads must not end only with these.
    errors = []
    with Uploads(lambda _: hang) as server:
        client = both.client(server.base_url)
        for call in (
            lambda: client.predictions.create(
                "v", {"a": [b"a", b"b", b"c"]}, upload_progress=failing_at(3)
            ),
            lambda: client.files.create(b"d", progress=failing_at(4)),
        ):
            with pytest.raises(RuntimeError, match="not interested") as caught:
                both(call)
            errors.append(caught)
            server.until(lambda: server.open_now == 0)
    assert server.routes == ["POST /v1/files"] * 4
