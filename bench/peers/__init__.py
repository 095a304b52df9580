"""The queue beside others on Postgres: the same work, the same durable server, in one run."""
