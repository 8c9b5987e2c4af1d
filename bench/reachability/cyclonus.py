"""cyclonus: told to use pods that are there, asked for one probe, and read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bench.fetch import binary
from bench.reachability.size import Size
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.machine.process import run

NAME = "cyclonus"
IMAGE = "e2e-test-images/agnhost:2.43"
"""What it runs, below the registry that it is told."""
_POD_SECONDS = 600
_ROW = re.compile(r"^\|(?P<cells>.*)\|$", re.MULTILINE)
_RESULTS = "kube results, try"
_CELLS = {".": True, "X": False}
Cell = tuple[str, str, str]
"""Source, target, and ``TCP/80``."""


def set_up(kubeconfig: Path, size: Size, registry: str) -> None:
    """Have it make its pods and Services, and probe nothing.

    Raises:
        CommandError: it failed.
    """
    run(idle_command(size, registry), deadline=_POD_SECONDS + 60, env={"KUBECONFIG": str(kubeconfig)})


def idle_command(size: Size, registry: str) -> list[str]:
    """A probe of a port that no pod has: all that it does but probing."""
    return [*probe_command(size, registry), "--all-available=false", "--port", "1", "--protocol", "tcp"]


def probe_command(size: Size, registry: str) -> list[str]:
    """The probe that is measured: at its fastest, by pod address, without a wait for policies that are long in force."""
    return [
        str(binary(NAME)), "probe", "--probe-mode", "pod-ip", "--job-timeout-seconds", "1",
        "--perturbation-wait-seconds", "0", "--pod-creation-timeout-seconds", str(_POD_SECONDS),
        "--image-registry", registry, "--server-namespace", ",".join(size.namespace_names),
        "--server-pod", ",".join(size.pod_names), "--server-port", ",".join(map(str, size.ports)),
        "--server-protocol", ",".join(size.protocols),
    ]  # fmt: skip


def read(said: str, size: Size) -> dict[Cell, bool | None]:
    """What it measured: open, blocked, or None where it says that it could not tell.

    Where all came out as it expects, it prints that one table. Else, what it expects and the difference are others: it
    expects that a policy keeps a pod from itself, which no policy does.

    Raises:
        ProbeError: there is no table of this size.
    """
    _, marked, results = said.partition(_RESULTS)
    rows = list(_rows(results))[: len(size.keys)] if marked else list(_rows(said))[-len(size.keys) :]
    ports = sorted(f"{protocol}/{port}" for protocol in size.protocols for port in size.ports)
    found: dict[Cell, bool | None] = {}
    for (source, *cells), expected in zip(rows, size.keys, strict=False):
        if source != expected or len(cells) != len(size.keys):
            break
        for target, cell in zip(size.keys, cells, strict=True):
            found |= {(source, target, port): _CELLS.get(each) for port, each in zip(ports, cell.split(), strict=False)}
    if len(found) != len(size.keys) ** 2 * len(ports):
        raise ProbeError(f"{NAME}: printed no table of {size.count} pods", details=said[-2000:])
    return found


def _rows(said: str) -> Iterator[list[str]]:
    """Rows of its tables that begin with a pod's name."""
    for match in _ROW.finditer(said):
        cells = [cell.strip() for cell in match["cells"].split("|")]
        if re.fullmatch(r"n\d+/p\d+", cells[0]):
            yield cells
