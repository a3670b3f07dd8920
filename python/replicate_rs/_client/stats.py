"""Counters of a client."""

from __future__ import annotations


class Stats:
    """What a client has done so far, in numbers."""

    __slots__ = (
        "connections",
        "failures",
        "in_flight",
        "predictions",
        "requests",
        "retries",
        "streams",
    )

    def __init__(
        self,
        requests: int,
        in_flight: int,
        failures: int,
        retries: int,
        connections: int,
        streams: int = 0,
        predictions: int = 0,
    ) -> None:
        self.requests: int = requests
        """Requests begun; several attempts of one request count once."""
        self.in_flight: int = in_flight
        """Requests not finished: waiting, being sent, or between two attempts."""
        self.failures: int = failures
        """Requests that ended in an error, after all attempts."""
        self.retries: int = retries
        """Attempts after the first, of all requests."""
        self.connections: int = connections
        """Connections opened, including attempts that failed."""
        self.streams: int = streams
        """Event streams and files being read now."""
        self.predictions: int = predictions
        """Predictions that are cancelled if their callers leave now, or the client is closed."""

    def __repr__(self) -> str:
        return f"Stats({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"
