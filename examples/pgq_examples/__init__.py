"""Example tasks, and what shows them at work."""
