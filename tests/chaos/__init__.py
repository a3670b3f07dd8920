"""Faults of servers and networks, each with a name, and what must become of a call that meets it."""
