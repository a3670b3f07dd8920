"""What happens to a request before an endpoint sees it: the request log, faults, rate limits."""
