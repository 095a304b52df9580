"""The main job end to end, with real processes, checked against what should have happened."""
