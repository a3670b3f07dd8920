"""Run the tests with a `fetch=` that passes requests on: `THROUGH_FETCH=1` (`make test-fetch`).

A client with a `fetch` must behave as one without, except for `DIFFERENCES`.
"""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from typing import Any

IS_ON = bool(os.environ.get("THROUGH_FETCH"))

# The first statements of programs that tests start.
PRELUDE = (
    f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); from support import passing;"
    " passing.install()\n"
    if IS_ON
    else ""
)

# Parts of the names of tests that a client with a `fetch` does not pass, and why.
DIFFERENCES = {
    "waiting_for_a_free_connection": "sends a request through the core directly",
    "waiting_for_a_connection_may_have_a_limit": "the same",
    "busy_connections": "the same",
    "saving_files": "the function receives one file after another",
    "fetched_sixteen_at_a_time": "the same",
    "waiting_for_the_next_page": "the function receives a page when it is needed, and not ahead",
    "the_next_page_is_fetched_ahead": "the same",
    "a_walk_ends_what_was_fetched_ahead": "the same",
    "a_signal_stops_the_pages": "the same",
    "three_hundred_that_wait": "the list is not fetched past the function",
    "threads_share_the_pace": "the same",
    "without_a_list_they_share": "the same",
    "a_link_of_the_list_leads": "the same",
    "waiting_survives_a_fork_while_another_leads": "the same",
    "what_belongs_to_the_default_client": "the module's client has an option then",
    "a_part_is_awaited_once": "reads a stream of the core directly",
    "an_answer_can_be_looked_at_again": "the same",
    "a_second_task_on_a_source": "the same",
    "what_another_reader_has_taken": "the same",
    "a_task_and_a_thread_beside": "the same",
    "of_a_pending_that_was_asked_for_its_error": "the same",
    "a_line_that_nobody_takes": "the same",
    "no_coroutine_is_made": "the function is called in one",
    "a_blocking_result": "waits for a request of the core directly",
    "errors_are_raised_where_it_is_awaited": "the same",
    "a_future_s_result_is_converted_once": "the same",
    "a_result_has_one_conversion": "the same",
    "a_conversion_that_refers_to_its_call": "the same",
    "a_connection_that_another_call_has_left": "sends a request through the core directly",
    "what_was_begun_before_a_fork_is_refused_in_the_child[begun": "the same",
    "what_was_begun_before_a_fork_is_refused_in_the_child[awaited": "the same",
    "what_was_begun_before_a_fork_is_refused_in_the_child[pages": (
        "the function receives a page when it is needed, and not ahead"
    ),
    "what_is_watched_is_asked_for_itself_in_a_crowd": ("the list is not fetched past the function"),
    "when_one_of_many_fails": "the function receives one file after another",
    "uploads_run_together": "the function receives one upload after another",
    "when_one_is_refused_the_others_are_given_up": "the same",
    "a_signal_ends_the_uploads": "the same",
    "a_task_that_is_cancelled_ends_its_uploads": "the same",
    "a_file_that_changes_before_its_turn": "the same",
    "the_progress_of_uploads_grows_to_their_end": (
        "the upload is sent within the function, so its progress is reported at its end"
    ),
    "the_progress_of_a_file_grows_to_its_end": "the same",
    "a_progress_that_fails_ends_the_uploads": "the same",
    "an_aborted_download_closes_its_bar": (
        "the file is saved within the function, so its progress is reported at its end"
    ),
    "a_function_that_fails_ends_the_download": "the same",
    "several_headers_of_one_name": (
        "the function receives headers as a dict, with the values of one name joined"
    ),
    "without_it_nothing_of_the_kind_runs": "tests clients without a fetch",
    "fetched_without_the_token[async-another port-path]": (
        "blocking code cannot call an async function"
    ),
    "fetched_without_the_token[async-another name-path]": "the same",
    "test_functions_of_models[async": "the same",
    "a_relay_is_read_in_either_mode_whoever_made_it[async": "the same",
    "a_run_of_one_kind_goes_into_a_function": "blocking code cannot call an async function",
    "a_path_of_an_awaited_file": "the same",
    "a_file_that_a_model_made_is_uploaded_without_blocking": "the same",
}


def reason_to_leave_out(name: str) -> str | None:
    """Return why a test is skipped with a `fetch`, or None."""
    return next((reason for part, reason in DIFFERENCES.items() if IS_ON and part in name), None)


def pass_on(request: Any, send: Any) -> Any:
    """The `fetch` of a `Replicate`."""
    return send(request)


async def pass_on_awaited(request: Any, send: Any) -> Any:
    """The `fetch` of an `AsyncReplicate`."""
    return await send(request)


def install() -> None:
    """Let every client that is created without a `fetch` have one that passes requests on."""
    from replicate_rs.client import AsyncReplicate, BaseClient

    original = BaseClient.__init__

    @wraps(original)
    def init(self: Any, *args: Any, **options: Any) -> None:
        if options.get("fetch") is None:
            options["fetch"] = pass_on_awaited if isinstance(self, AsyncReplicate) else pass_on
        original(self, *args, **options)

    BaseClient.__init__ = init  # type: ignore[method-assign]
