"""Runs of a model on many inputs: what `map` consists of."""
