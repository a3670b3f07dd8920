"""Files that go into a request, and files that a model made."""
