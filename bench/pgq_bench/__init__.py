"""How fast the queue is, beside what raw SQL does on the same server in the same run."""
