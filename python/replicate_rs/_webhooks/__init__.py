"""Webhooks in requests of web frameworks, and their verification."""
