"""Finds the recorded response to a request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from .differences import describe_differences
from .exchange import Exchange, RecordedRequest, RecordedResponse

# Headers that choose a part of a response.
_PART_HEADERS = ("range", "last-event-id")
# Bodies are compared only with those of this many recorded requests whose URL is the nearest.
_MAX_NEAREST = 20

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A recorded response.

    Args:
        exchange: The recording.
        is_whole: Whether the response is the whole one to a request for a part of it.

    """

    exchange: Exchange
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """What is said of a request that was not recorded.

    Args:
        detail: The message.
        nearest: The name of the file with the nearest request.
        differences: How that differs.

    """

    detail: str
    nearest: str | None
    differences: list[str]


class Recordings:
    """Recorded exchanges. Equal requests get their responses in the order of the recording.

    Requests are equal if their methods, URLs and bodies are, whatever the order of parameters and
    of keys in JSON, and if they ask for the same part of a response.
    """

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self.exchanges: list[Exchange] = list(exchanges)
        self._by_key: dict[Key, list[Exchange]] = {}
        for each in self.exchanges:
            self._by_key.setdefault(_key(each.request), []).append(each)

    def find(self, request: RecordedRequest) -> Found | Missing:
        """Return the response that is next for a request, and count it as played."""
        exact = self._by_key.get(_key(request), [])
        found = _next(exact)
        if found is not None:
            return Found(found, is_whole=False)
        whole: list[Exchange] = []
        if request.method == "GET" and any(map(request.header, _PART_HEADERS)):
            whole = self._by_key.get(_key(request, without_part=True), [])
            if whole:
                # A part of what was sent before, which is not played once more.
                return Found(max(whole, key=lambda each: each.played > 0), is_whole=True)
        return self._describe_missing(request, exact)

    def find_file(self, url: str) -> RecordedResponse | None:
        """Return the recorded response with a whole file, which does not count as played."""
        responses = [
            each.response
            for each in self.exchanges
            if each.request.url == url and each.request.method == "GET"
        ]
        whole = [each for each in responses if each.status == 200 and each.is_complete]
        return whole[0] if whole else None

    def _describe_missing(self, request: RecordedRequest, exact: list[Exchange]) -> Missing:
        what = f"{request.method} {request.url}"
        if exact:
            times = "once" if len(exact) == 1 else f"{len(exact)} times"
            last = exact[-1].name
            return Missing(
                f"{what} was recorded {times}, and is requested once more; for the last response"
                f' again, set "repeat": true in {last}',
                last,
                [],
            )
        nearest = self._nearest(request)
        if nearest is None:
            return Missing(f"no recording of {what}: the cassette is empty", None, [])
        differences = describe_differences(nearest.request, request)
        return Missing(
            f"no recording of {what}. The nearest is {nearest.name}, which differs:\n"
            + "\n".join(f"- {each}" for each in differences),
            nearest.name,
            differences,
        )

    def _nearest(self, request: RecordedRequest) -> Exchange | None:
        method, url, _ = request.target

        def distance_of_target(each: Exchange) -> tuple[float, float]:
            other_method, other_url, _ = each.request.target
            similarity = (
                1.0
                if url == other_url
                else SequenceMatcher(None, url, other_url, autojunk=False).ratio()
            )
            return (1 - similarity) + (0 if method == other_method else 0.5), each.played

        candidates = sorted(self.exchanges, key=distance_of_target)[:_MAX_NEAREST]
        return min(
            candidates,
            key=lambda each: (
                distance_of_target(each)[0],
                len(describe_differences(each.request, request)),
                each.played,
            ),
            default=None,
        )


def _next(exchanges: list[Exchange]) -> Exchange | None:
    for each in exchanges:
        if not each.played:
            each.played = 1
            return each
    if exchanges and exchanges[-1].repeats:
        exchanges[-1].played += 1
        return exchanges[-1]
    return None


def _key(request: RecordedRequest, *, without_part: bool = False) -> Key:
    part = (None, None) if without_part else tuple(map(request.header, _PART_HEADERS))
    return (*request.target, request.body_key(), *part)
