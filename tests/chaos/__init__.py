"""Faults of servers and networks, and what a call must do when it meets them."""
