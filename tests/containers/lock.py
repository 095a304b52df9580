"""What deploy/container/*requirements.txt name."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from containers.engine import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "container"


def locked(name: str = "requirements.txt") -> dict[str, Requirement]:
    """The requirements of a file, by the names of their projects."""
    lines = re.findall(r"^([a-z].*?) \\$", (FOLDER / name).read_text(), re.MULTILINE)
    return {str(canonicalize_name(each.name)): each for each in map(Requirement, lines)}
