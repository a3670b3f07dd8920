"""Models: Python functions, their schemas and versions, and how a version is called."""
