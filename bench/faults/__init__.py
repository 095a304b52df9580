"""Faults that the queue survives, and the proof of it: `python -m faults --list`."""
