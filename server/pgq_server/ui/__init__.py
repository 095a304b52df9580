"""The dashboard: pages below `/ui`, which call the same verbs as everything else."""
