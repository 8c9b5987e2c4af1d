"""Thaws frozen cgroups of containers that are to be removed.

With cgroup v1, runc freezes a container's cgroup for a moment whenever it changes the devices there. A node that is
killed in that moment leaves processes of its pods frozen, and a frozen process does not die: docker then says for good
that it "did not receive an exit event" (https://www.kernel.org/doc/Documentation/cgroup-v1/freezer-subsystem.txt).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FREEZER_ROOT = Path("/sys/fs/cgroup/freezer/docker")
"""Where docker puts containers with cgroup v1, below which a node puts its pods."""


def thaw(containers: Iterable[str], root: Path = FREEZER_ROOT) -> list[Path]:
    """Thaw all frozen cgroups of these containers; without the right to do so, nothing happens.

    Args:
        containers: docker's ids, not names.

    Returns:
        the state files that were changed.
    """
    thawed = []
    for container in containers:
        for state in (root / container).rglob("freezer.state"):
            with suppress(OSError):  # gone meanwhile, or we are not root
                if state.read_text().strip() != "THAWED":
                    state.write_text("THAWED")
                    thawed.append(state)
    return thawed
