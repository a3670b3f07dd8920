"""What a client is made of: options, the core made of them, requests of its own."""
