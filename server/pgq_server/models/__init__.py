"""What goes over the wire: bodies, queries, paths and answers, as pydantic models."""
