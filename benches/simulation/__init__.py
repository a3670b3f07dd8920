"""A simulation of many workers that share a journal, and what follows from it for more inputs."""
