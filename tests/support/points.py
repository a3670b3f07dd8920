"""Points in calls at which a caller may leave: each sets `arrived` when the call has reached it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from replicate_rs import FileOutput, asave_all, save_all
from replicate_rs._core import Expect
from support.leaving import LARGE, MAX_WAIT, Scene, full_port, point
from support.leaving import POINTS as POINTS
from support.wire import HEAD, Answer, Seen, output, prediction, reply


def running(scene: Scene, then: Callable[[Seen], Answer | None]) -> None:
    """Let the server create a prediction, and answer the requests after that with `then`."""
    created = prediction("processing", urls={"stream": f"{scene.wire.origin}/stream"})
    scene.answer = lambda seen: reply(created, 201) if seen.method == "POST" else then(seen)


def streams(scene: Scene, events: bytes, *, is_arrival: bool = False) -> None:
    """Let the server stream these events of a prediction, and then nothing."""
    running(scene, lambda _: scene.stall(HEAD + events, is_arrival=is_arrival))
    if not is_arrival:
        scene.arrives_when(lambda: bool(scene.items))


# Connections


@point(max_connections=1)
def waiting_for_a_free_connection(scene):
    def call(**options):
        scene.arrived.set()
        return scene.client.predictions.get("p1", **options)

    held = scene.client._core.send("GET", ("held",), Expect.STATUS)
    held.begin()
    scene.wire.until(lambda: "GET /v1/held" in scene.wire.routes)
    scene.release(held.give_up)
    return call


@point()
def connecting(scene):
    port, scene.full = full_port()
    read = scene.file("read", f"http://127.0.0.1:{port}/file")

    def call(**options):
        scene.arrived.set()
        return read(**options)

    return call


@point()
def in_the_handshake(scene):
    opened = scene.wire.opened
    scene.arrives_when(lambda: scene.wire.opened > opened)
    return scene.file("read", f"https://{scene.wire.origin.partition('://')[2]}/file")


# Requests


@point()
def sending_a_prediction(scene):
    scene.leave_unread()
    return lambda **options: scene.client.predictions.create("v", {"text": "x" * LARGE}, **options)


@point()
def sending_a_file(scene):
    scene.leave_unread()
    return lambda **options: scene.client.files.create(bytes(LARGE), **options)


@point()
def sending_a_file_with_progress(scene):
    scene.leave_unread()
    return lambda **options: scene.client.files.create(
        bytes(LARGE), progress=lambda *_: None, **options
    )


@point()
def waiting_for_the_answer_to_an_upload(scene):
    return lambda **options: scene.client.files.create(b"x", **options)


@point()
def uploading_an_input(scene):
    return lambda **options: scene.client.run("acme/x", {"file": b"x"}, **options)


@point(modes=("async",), takes_signal=False)
def reading_the_source_of_an_upload(scene):
    async def source():
        yield b"x"
        scene.arrived.set()
        await asyncio.sleep(MAX_WAIT)

    return lambda: scene.client.files.create(source(), filename="x")


@point()
def held_until_there_is_output(scene):
    return lambda **options: scene.client.run("acme/x", {}, **options)


@point()
def backing_off_from_429(scene):
    scene.answer = lambda _: reply({"detail": "later"}, 429, headers="Retry-After: 30\r\n")
    scene.arrives_when(lambda: any(each.startswith("POST") for each in scene.wire.routes))
    return lambda **options: scene.client.run("acme/x", {}, **options)


@point(1)
def backing_off_from_503(scene):
    running(scene, lambda _: reply(b"", 503, headers="Retry-After: 30\r\n"))
    scene.arrives_when(lambda: "GET /v1/predictions/p1" in scene.wire.routes)
    return lambda **options: scene.client.run("acme/x", {}, wait=False, **options)


# Polls


@point(1, poll_interval=30)
def between_polls(scene):
    running(scene, lambda _: None)
    return lambda **options: scene.client.run(
        "acme/x", {}, wait=False, progress=lambda _: scene.arrived.set(), **options
    )


@point(1)
def in_a_poll(scene):
    running(scene, lambda _: scene.stall())
    return lambda **options: scene.client.run("acme/x", {}, wait=False, **options)


@point(0)
def in_a_poll_of_a_run_that_is_not_cancelled(scene):
    running(scene, lambda _: scene.stall())
    return lambda **options: scene.client.run(
        "acme/x", {}, wait=False, cancel_on_exit=False, **options
    )


@point(1, takes_signal=False)
def in_a_poll_of_a_function(scene):
    running(scene, lambda _: scene.stall())
    return lambda: scene.client.use("acme/x")()


@point(1)
def waiting_if_it_cancels(scene):
    return lambda **options: scene.client.wait(
        scene.running_prediction(), cancel_on_exit=True, **options
    )


@point()
def waiting(scene):
    return lambda **options: scene.client.wait(scene.running_prediction(), **options)


@point()
def waiting_by_the_prediction(scene):
    return lambda **options: scene.running_prediction().wait(**options)


@point(is_iterated=True)
def polling_for_increments(scene):
    polls = iter([reply(prediction("processing", output=["a"]))])
    scene.answer = lambda _: next(polls, None) or scene.stall(is_arrival=False)
    scene.arrives_when(lambda: bool(scene.items))
    return lambda **options: scene.running_prediction().output_iterator(**options)


# Streams


@point(1)
def opening_a_stream(scene):
    running(scene, lambda _: scene.stall())
    return lambda **options: scene.client.stream("acme/x", {}, **options)


@point(1)
def before_the_first_event(scene):
    streams(scene, b"", is_arrival=True)
    return lambda **options: scene.client.stream("acme/x", {}, **options)


@point(1, is_iterated=True)
def between_events(scene):
    streams(scene, output("a"))
    return lambda **options: scene.client.stream("acme/x", {}, **options)


@point(is_iterated=True)
def between_events_of_a_stream_that_is_not_cancelled(scene):
    streams(scene, output("a"))
    return lambda **options: scene.client.stream("acme/x", {}, cancel_on_exit=False, **options)


@point(is_iterated=True)
def between_events_of_a_prediction(scene):
    streams(scene, output("a"))
    return lambda **options: scene.running_prediction().stream(**options)


@point(1, is_iterated=True)
def between_pieces_of_text(scene):
    streams(scene, output("a"))
    return lambda **options: scene.client.text_stream("acme/x", {}, **options)


@point(1)
def between_events_that_are_relayed(scene):
    streams(scene, output("a"))
    return lambda **options: scene.client.relay("acme/x", {}, **options)


@point(1, takes_signal=False)
def between_parts_of_a_function(scene):
    streams(scene, output("a"))
    return lambda: scene.client.use("acme/x", streaming=True)()


@point(1)
def before_a_reconnect(scene):
    def once(connection):
        connection.sendall(HEAD + b"retry: 30000\n" + output("a"))

    running(scene, lambda _: once)
    scene.arrives_when(lambda: bool(scene.items) and "GET /stream" in scene.wire.routes)
    return lambda **options: scene.client.stream("acme/x", {}, **options)


@point(1, modes=("async",))
def busy_with_an_event(scene):
    scene.pauses = True
    running(scene, lambda _: scene.stall(HEAD + output("a", "b"), is_arrival=False))
    return lambda **options: scene.client.stream("acme/x", {}, **options)


# Pages


def two_pages(scene):
    page = {
        "results": [prediction(), prediction()],
        "next": f"{scene.wire.base_url}/predictions?cursor=2",
        "previous": None,
    }
    scene.answer = lambda seen: (
        scene.stall(is_arrival=False) if "cursor" in seen.path else reply(page)
    )
    scene.arrives_when(
        lambda: bool(scene.items) and "GET /v1/predictions?cursor=2" in scene.wire.routes
    )


@point(is_iterated=True)
def waiting_for_the_next_page(scene):
    two_pages(scene)
    return lambda **options: scene.client.paginate(lambda: scene.client.predictions.list(**options))


@point()
def waiting_for_more_items(scene):
    async def every(**options):
        return (await scene.client.predictions.list(**options)).auto()

    two_pages(scene)
    return (
        every
        if scene.both.is_async
        else lambda **options: scene.client.predictions.list(**options).auto()
    )


@point(modes=("async",))
def busy_with_an_item_of_a_page(scene):
    scene.pauses = True
    two_pages(scene)
    return lambda **options: scene.client.paginate(lambda: scene.client.predictions.list(**options))


# Files


def half_a_file(scene):
    scene.answer = lambda _: scene.stall(reply(bytes(300_000), length=600_000))


@point()
def before_a_download(scene):
    return scene.file("read")


@point()
def reading_a_file(scene):
    half_a_file(scene)
    return scene.file("read")


@point(is_iterated=True)
def between_pieces_of_a_file(scene):
    scene.answer = lambda _: scene.stall(reply(bytes(300_000), length=600_000), is_arrival=False)
    scene.arrives_when(lambda: bool(scene.items))
    return scene.file("chunks")


@point()
def saving_a_file(scene):
    half_a_file(scene)
    save = scene.file("save")
    return lambda **options: save(scene.folder / "file", **options)


@point()
def saving_files(scene):
    scene.answer = lambda _: scene.stall(reply(bytes(300_000), length=600_000), is_arrival=False)
    scene.arrives_when(lambda: len(scene.wire.seen) == 3)
    files = [FileOutput(f"{scene.wire.origin}/{name}", scene.client) for name in "ab"]
    save = asave_all if scene.both.is_async else save_all
    return lambda **options: save(files, scene.folder, **options)


@point(modes=("async",), takes_signal=False)
def opening_a_file(scene):
    half_a_file(scene)
    return scene.file("open")
