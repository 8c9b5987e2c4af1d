"""Files that are written as a whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path


def write_whole(target: Path, text: str) -> Path:
    """Write a text file in one step, its directory too; what was there before stays until then. Returns its path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=target.suffix, delete=False) as file:
        file.write(text)
    written = Path(file.name)
    written.chmod(0o644)
    written.replace(target)
    return target
