"""Requests through a client's `fetch` whose results nobody waits for, such as cancels at exit."""

from __future__ import annotations

from .._base.typing import TYPE_CHECKING, defer_annotations

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Any

    from .deferred import FetchedResponse


class BackgroundRequests:
    """Requests that run as tasks of the running event loop.

    Without an event loop, or when it ends first, each runs on a thread of its own.
    """

    def __init__(self, *, is_async: bool) -> None:
        self._is_async = is_async
        # The event loop has only weak references to its tasks.
        self._tasks: set[object] = set()
        self._requests: set[FetchedResponse[Any]] = set()

    @property
    def outside_core(self) -> int:
        """The number of requests that the caller's function has, and the core does not count."""
        return sum(not request.is_in_core for request in list(self._requests))

    def send(self, request: FetchedResponse[Any]) -> None:
        """Begin a request."""
        loop = _find_running_loop() if self._is_async else None
        if loop is None:
            self._send_on_thread(request)
            return
        task: Any = loop.create_task(self._send_on_loop(request))
        # The event loop may end first, as that of `asyncio.run` does after it has cancelled its
        # tasks. That is not an error, so asyncio must not warn of it.
        task._log_destroy_pending = False
        self._requests.add(request)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_on_loop(self, request: FetchedResponse[Any]) -> None:
        try:
            await request
        except Exception:  # noqa: BLE001, S110 - best effort: nobody waits for the result
            pass
        except BaseException:
            # The event loop ends. The core finishes what it is sending; a request that it does not
            # have yet begins again.
            self._requests.discard(request)
            if not request.is_begun:
                self._send_on_thread(request)
            raise
        self._requests.discard(request)

    def _send_on_thread(self, request: FetchedResponse[Any]) -> None:
        from threading import Thread

        def send() -> None:
            try:
                if self._is_async:
                    from asyncio import run

                    run(request.run_async())
                else:
                    request.wait()
            except Exception:  # noqa: BLE001, S110 - best effort, as above
                pass
            finally:
                self._requests.discard(request)

        self._requests.add(request)
        try:
            Thread(target=send, name="replicate_rs").start()
        except RuntimeError:
            # The interpreter shuts down, and starts no more threads.
            send()


def _find_running_loop() -> AbstractEventLoop | None:
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        return None


defer_annotations(globals())
