"""Models as functions: the function, a run of it, and an output that grows."""
