"""The tests once more, with a `fetch=` that passes every request on: `THROUGH_FETCH=1` (`make
test-fetch`).

Nothing that the tests ask for may depend on whether a client has a `fetch`, but for what is said
below.
"""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from typing import Any

IS_ON = bool(os.environ.get("THROUGH_FETCH"))

# What programs that tests start have to do first.
PRELUDE = (
    f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); from support import passing;"
    " passing.install()\n"
    if IS_ON
    else ""
)

# Parts of the names of tests that ask for what a client with a `fetch` does otherwise, and why.
OTHERWISE = {
    "waiting_for_a_free_connection": "asks the core for a request that nobody waits for",
    "waiting_for_a_connection_may_have_a_limit": "the same",
    "busy_connections": "the same",
    "saving_files": "the function sees one file after another",
    "fetched_sixteen_at_a_time": "the same",
    "waiting_for_the_next_page": "the function sees a page when it is asked for, and not ahead",
    "the_next_page_is_fetched_ahead": "the same",
    "a_walk_ends_what_was_fetched_ahead": "the same",
    "three_hundred_that_wait": "no list is asked for that the function would not see",
    "threads_share_the_pace": "the same",
    "without_a_list_they_share": "the same",
    "a_link_of_the_list_leads": "the same",
    "waiting_survives_a_fork_while_another_leads": "the same",
    "what_belongs_to_the_default_client": "the module's own client has an option then",
    "a_part_is_awaited_once": "asks the core for a part",
    "an_answer_can_be_looked_at_again": "the same",
    "a_second_task_on_a_source": "the same",
    "what_another_reader_has_taken": "the same",
    "a_task_and_a_thread_beside": "the same",
    "of_a_pending_that_was_asked_for_its_error": "the same",
    "a_line_that_nobody_takes": "the same",
    "a_connection_that_another_call_has_left": "asks the core for a request that nobody waits for",
    "what_was_begun_before_a_fork_is_refused_in_the_child[begun": "the same",
    "what_was_begun_before_a_fork_is_refused_in_the_child[awaited": "the same",
    "what_was_begun_before_a_fork_is_refused_in_the_child[pages": (
        "the function sees a page when it is asked for, and not ahead"
    ),
    "what_is_watched_is_asked_for_itself_in_a_crowd": (
        "no list is asked for that the function would not see"
    ),
    "when_one_of_many_fails": "the function sees one file after another",
    "uploads_run_together": "the function sees one upload after another",
    "when_one_is_refused_the_others_are_given_up": "the same",
    "a_signal_ends_the_uploads": "the same",
    "a_task_that_is_cancelled_ends_its_uploads": "the same",
    "a_file_that_changes_before_its_turn": "the same",
    "the_progress_of_uploads_grows_to_their_end": (
        "an upload is carried out within the function: its progress is told at its end"
    ),
    "the_progress_of_a_file_grows_to_its_end": "the same",
    "a_progress_that_fails_ends_the_uploads": "the same",
    "several_headers_of_one_name": (
        "the headers that the function sees are a dict: several values of one name are joined"
    ),
    "without_it_nothing_of_the_kind_runs": "is about clients without a fetch",
    "fetched_without_the_token[async-another port-path]": (
        "an async function cannot be called by blocking code"
    ),
    "fetched_without_the_token[async-another name-path]": "the same",
    "a_relay_is_read_in_either_mode_whoever_made_it[async": "the same",
    "a_run_of_one_kind_goes_into_a_function": "an async function cannot be called by blocking code",
    "a_path_of_an_awaited_file": "the same",
    "a_file_that_a_model_made_is_uploaded_without_blocking": "the same",
}


def reason_to_leave_out(name: str) -> str | None:
    """Return why a test is not for clients with a `fetch`, if it is not."""
    return next((reason for part, reason in OTHERWISE.items() if IS_ON and part in name), None)


def pass_on(request: Any, send: Any) -> Any:
    """The `fetch` of a `Replicate`."""
    return send(request)


async def pass_on_awaited(request: Any, send: Any) -> Any:
    """The `fetch` of an `AsyncReplicate`."""
    return await send(request)


def install() -> None:
    """Give every client that is made from now on such a function, unless it is given one."""
    from replicate_rs.client import AsyncReplicate, BaseClient

    original = BaseClient.__init__

    @wraps(original)
    def init(self: Any, *args: Any, **options: Any) -> None:
        if options.get("fetch") is None:
            options["fetch"] = pass_on_awaited if isinstance(self, AsyncReplicate) else pass_on
        original(self, *args, **options)

    BaseClient.__init__ = init  # type: ignore[method-assign]
