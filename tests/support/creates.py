"""A server that delays responses to creates at a chosen point, and counts cancels."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from support.leaving import MAX_WAIT
from support.wire import HEAD, Answer, Seen, Wire, hang, output, prediction, reply

# How many bytes of an answer are sent before the pause.
MOMENTS: dict[str, Callable[[bytes], int]] = {
    "before it": lambda _: 0,
    "in its head": lambda answer: answer.index(b"\r\n\r\n"),
    "in its body": lambda answer: len(answer) - 5,
}


def now() -> datetime:
    return datetime.now(UTC)


class Creates(Wire):
    """A server that pauses its answers to creates, and counts what is created and cancelled."""

    def __init__(
        self, moment: str = "before it", *, pause: float | None = None, ended: bool = False
    ) -> None:
        self.moment = MOMENTS[moment]
        # Seconds of the pause; None: until `go_on` is set.
        self.pause = pause
        self.status = "succeeded" if ended else "processing"
        self.made: list[str] = []
        self.cancelled: list[str] = []
        self.listed: list[dict[str, Any]] = []
        self.reached = threading.Event()
        self.go_on = threading.Event()
        super().__init__(self._answer)

    def __exit__(self, *error: object) -> None:
        self.go_on.set()
        super().__exit__(*error)

    def _answer(self, seen: Seen) -> Answer | None:
        *_, collection, id = seen.path.removesuffix("/cancel").rsplit("/", 2)
        if seen.path.startswith("/stream"):
            return self._streamed
        if seen.path.endswith("/cancel"):
            with self._change:
                self.cancelled.append(f"{collection}/{id}")
                self._change.notify_all()
            return reply(prediction("canceled", id=id))
        if seen.path == "/v1/predictions" and seen.method == "GET":
            return self.listing()
        if seen.method == "GET":
            return reply(
                prediction(
                    "canceled" if f"{collection}/{id}" in self.cancelled else "processing", id=id
                )
            )
        with self._change:
            collection = seen.path.rpartition("/")[2]
            self.made.append(f"{collection}/p{len(self.made) + 1}")
            id = self.made[-1].rpartition("/")[2]
            self.listed.append(self._described(id, seen))
            self._change.notify_all()
        answer = reply(
            prediction(self.status, id=id, urls={"stream": f"{self.origin}/stream/{id}"}), 201
        )

        def hold(connection: socket.socket) -> bytes:
            cut = self.moment(answer)
            connection.sendall(answer[:cut])
            self.reached.set()
            self.go_on.wait(MAX_WAIT if self.pause is None else self.pause)
            return answer[cut:]

        return hold

    def _described(self, id: str, seen: Seen) -> dict[str, Any]:
        """Return a prediction as the list of predictions has it."""
        kind, *name = seen.path.removeprefix("/v1/").split("/")
        body, named = json.loads(seen.body), "/".join(name[:2])
        about = {
            "model": named if kind == "models" else "acme/x",
            "version": body.get("version", "v").rpartition(":")[2],
        }
        if kind == "deployments":
            about["deployment"] = named
        return {
            **prediction("processing", id=id),
            **about,
            "input": body.get("input", {}),
            "created_at": now().isoformat(),
        }

    def listing(self) -> bytes:
        """Return the answer with the recent predictions, newest first."""
        found = [
            each | ({"status": "canceled"} if f"predictions/{each['id']}" in self.cancelled else {})
            for each in self.listed
        ]
        return reply(
            {"next": None, "results": found[::-1]},
            headers=f"Date: {format_datetime(now(), usegmt=True)}\r\n",
        )

    def _streamed(self, connection: socket.socket) -> None:
        connection.sendall(HEAD + output("a"))
        hang(connection)

    def wait(self) -> None:
        """Wait until an answer is paused."""
        assert self.reached.wait(MAX_WAIT)

    def assert_all_cancelled(self, client: Any = None) -> None:
        """Answer the creates; assert that each prediction is cancelled once.

        Then no connection may be left; a client that is passed is closed before that.
        """
        self.go_on.set()
        self.until(lambda: len(self.cancelled) >= len(self.made), 5)
        if client is not None:
            client.close()
        self.until(lambda: self.open_now == 0, 5)
        assert sorted(self.cancelled) == sorted(self.made)

    def assert_kept(self, client: Any) -> None:
        """Answer a create that was left; assert that it was read, and its prediction kept."""
        assert self.open_now == 1
        self.go_on.set()
        client.close(5)
        self.until(lambda: self.open_now == 0, 5)
        assert (len(self.made), self.cancelled) == (1, [])
