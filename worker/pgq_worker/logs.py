"""Loggers of the worker; how their lines look is `pgq.logs`'."""

from __future__ import annotations

import logging

from pgq.logs import Format, about, configure, current_job, masker

__all__ = ["Format", "about", "configure", "current_job", "get", "masker"]


def get(name: str) -> logging.Logger:
    """A logger of the worker's."""
    return logging.getLogger(f"pgq.worker.{name}")
