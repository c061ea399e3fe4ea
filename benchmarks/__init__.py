"""Measurements of the server against plain Channels and against itself. `make bench` runs them all."""
