"""The service: HTTP API and dashboard, over the public SQL verbs and nothing else."""
