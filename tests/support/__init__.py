"""Helpers that tests share: servers, programs, processes, webhooks."""
