"""The web page: predictions, webhooks and requests, as they happen."""
