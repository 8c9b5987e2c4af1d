"""What is measured: whole commands, as a user types them; those of which a ratio is made take turns."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from bench import idle
from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER
from pytest_k8ssec.machine import docker

REPOSITORY = Path(__file__).parents[2]
BUILD = REPOSITORY / "build" / "bench"
_STACK = REPOSITORY / "stacks" / "hardened"
_KEY = "K8SSEC_DEMO_API_KEY"
_PLAIN = {"K8SSEC_FRESH": "1", "K8SSEC_SERIAL": "1"}
_CONTROL = "rbac_cluster_admin"
"""A control of the stack that needs no pod of ours: what comes before its verdict is the cluster and the stack."""
_DEADLINE = 1800
_REST = 5
"""Seconds after which a machine has cleaned up behind a cluster."""
_ASK_DNS = r"""
exec 3<>/dev/tcp/10.96.0.10/53 || exit 1
printf '\x00\x36\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01' >&3
test "$(head -c 14 <&3 | od -An -tx1 | tr -d ' ' | cut -c12,20)" = 01
"""
"""Asks over TCP for the address of Service `kubernetes`; ends well where there is one answer and no error (RFC 1035, 4.1.1).

A question that comes before kube-proxy knows of CoreDNS is lost, and would be asked again after a second: each is given up before
that.
"""
Tell = Callable[[str], None]
Runs = dict[str, list[float]]


def figures(runs: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The figures, of those runs that there are.

    Args:
        runs: seconds of each run by name; ``engine_ratio`` and ``idle_ms`` are what their own benches measured.

    Returns:
        ratios are of medians, slower to faster; times are medians, in the unit that their name ends with.
    """
    found = {name: median(values) for name, values in runs.items()}
    ratios = {"thaw_ratio": ("kind", "thaw"), "demo_ratio": ("demo_plain", "demo")}
    plain = {"demo_seconds": "demo", "first_verdict_s": "first", "first_verdict_kept_s": "kept"}
    own = ("engine_ratio", "matrix_minutes", "collect_s", "idle_ms")
    return (
        {name: round(found[a] / found[b], 2) for name, (a, b) in ratios.items() if a in found and b in found}
        | {name: round(found[of], 1) for name, of in plain.items() if of in found}
        | {name: round(found[name], 2) for name in own if name in found}
    )


def _clusters(repeats: int, tell: Tell) -> Runs:
    """Until the nodes of two kinds of clusters are ready, and DNS answers there; one of each before that counts for nothing.

    What the cluster before wrote is on the disk by then, and what its removal leaves to the kernel is done: it would be the next
    one's to wait for, and a cluster of kind's leaves more than a thawed one.
    """
    runs: Runs = {"kind": [], "thaw": []}
    for number in range(repeats + 1):
        for kind, flags in (("kind", ["--fresh"]), ("thaw", [])):
            name = f"k8ssec-bench-{secrets.token_hex(3)}"
            os.sync()
            time.sleep(_REST)
            started = time.monotonic()
            _run("k8ssec", "up", "--name", name, "--kind-config", str(_STACK / "kind.yaml"), *flags)
            try:
                _await_dns(f"{name}-worker")
                seconds = time.monotonic() - started
            finally:
                _run("k8ssec", "down", name)
            if number:
                runs[kind].append(seconds)
                tell(f"{kind} {seconds:.1f} s")
    return runs


def _await_dns(container: str) -> None:
    end = time.monotonic() + 120
    while docker.docker("exec", container, "timeout", "0.4", "bash", "-c", _ASK_DNS, check=False).code:
        if time.monotonic() > end:
            raise OSError(f"{container}: DNS does not answer within 120 s")


def _demos(repeats: int, tell: Tell) -> Runs:
    """`make demo`, and the same with fresh clusters and nothing side by side."""
    runs: Runs = {"demo": [], "demo_plain": []}
    for _ in range(repeats):
        for name, environ in (("demo", {}), ("demo_plain", _PLAIN)):
            started = time.monotonic()
            subprocess.run(["make", "demo"], cwd=REPOSITORY, env=_environ(environ), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=True, timeout=_DEADLINE)  # fmt: skip
            runs[name].append(time.monotonic() - started)
            tell(f"{name} {runs[name][-1]:.1f} s")
    return runs


def _first_verdicts(repeats: int, tell: Tell) -> Runs:
    """Until the verdict of a control of the stack: on a cluster of the run's own, and on one that was kept."""
    runs: Runs = {"first": [], "kept": []}
    for _ in range(repeats):
        runs["first"].append(_until_verdict())
        tell(f"first verdict {runs['first'][-1]:.1f} s")
    name = f"k8ssec-bench-{secrets.token_hex(3)}"
    _run("k8ssec", "up", "--name", name, "--stack", str(_STACK))
    try:
        for _ in range(repeats):
            runs["kept"].append(_until_verdict("--k8ssec-cluster", name))
            tell(f"first verdict on a kept cluster {runs['kept'][-1]:.1f} s")
    finally:
        _run("k8ssec", "down", name)
    return runs


def _until_verdict(*options: str) -> float:
    """Seconds from the command to the word that says that the control held; its line ends once the clean-up has begun."""
    command = [_tool("pytest"), "-v", "--k8ssec-controls", str(CONTROLS_FOLDER), "-k", _CONTROL,
               "--k8ssec-stack", str(_STACK), *options]  # fmt: skip
    started = time.monotonic()
    seconds, said = None, b""
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=_environ(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as run:
        while run.stdout and (piece := run.stdout.read(1 << 16)):
            said += piece
            if seconds is None and b" HELD" in said.rpartition(_CONTROL.encode())[2]:
                seconds = time.monotonic() - started
        if run.wait(_DEADLINE) or seconds is None:
            raise OSError(f"{' '.join(command)}: no verdict, or a failure")
    return seconds


def _engine(repeats: int, _tell: Tell) -> Runs:
    """Computed cells a second, as `make bench-engine` has them."""
    _run(sys.executable, "-m", "bench.engine", "--repeats", str(repeats))
    return {"engine_ratio": [json.loads((BUILD / "engine.json").read_text())["engine_ratio"]]}


def _idle(repeats: int, _tell: Tell) -> Runs:
    """What a run pays that has nothing to do with us, and collecting all controls."""
    found = idle.measure(repeats)
    return {"idle_ms": [found.idle_ms], "collect_s": [found.collect_s]}


def _matrix(_repeats: int, _tell: Tell) -> Runs:
    """`make matrix`, whole; a run that was broken off is not gone on with."""
    for file in (REPOSITORY / "build").glob("matrix-*/*.json*"):
        file.unlink()
    started = time.monotonic()
    subprocess.run(["make", "matrix"], cwd=REPOSITORY, env=_environ(), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True, timeout=2 * _DEADLINE)  # fmt: skip
    return {"matrix_minutes": [(time.monotonic() - started) / 60]}


PARTS: Mapping[str, Callable[[int, Tell], Runs]] = {
    "idle": _idle,
    "engine": _engine,
    "clusters": _clusters,
    "verdicts": _first_verdicts,
    "demos": _demos,
    "matrix": _matrix,
}


def _environ(further: Mapping[str, str] | None = None) -> dict[str, str]:
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith("K8SSEC_") or name == "K8SSEC_CACHE"
    }
    plain.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**plain, _KEY: secrets.token_hex(16), **(further or {})}


def _tool(name: str) -> str:
    return name if os.sep in name else str(Path(sys.executable).with_name(name))


def _run(command: str, *arguments: str) -> None:
    """Run one of our commands to its end. Raises subprocess.SubprocessError where it failed."""
    subprocess.run([_tool(command), *arguments], cwd=REPOSITORY, env=_environ(), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True, timeout=_DEADLINE)  # fmt: skip
