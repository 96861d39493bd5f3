"""Whether a take is good enough to keep."""
