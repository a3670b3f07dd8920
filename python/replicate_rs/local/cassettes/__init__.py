"""Cassettes: recordings of an API's answers, which the local server replays."""
