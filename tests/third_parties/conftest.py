"""Other people's programs and libraries, unmodified, against the local Replicate."""
