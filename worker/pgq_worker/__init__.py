"""Runs jobs: a supervisor process, and children that claim, run and complete.

supervisor ── heartbeat, upkeep, listening, killing ──► database
  │  channel (wake, cancel, stop)      ▲
  ▼                                    │ slots (shared memory: what the child holds)
child ── claims ─► dispatcher ─► execution ─► reports ──► database
"""
