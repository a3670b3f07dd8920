"""What happens to a request before its endpoint: the request log, faults and rate limits."""
