"""Runs all controls on the hardened stack, on a cluster of one shape; a report of the same sources is kept."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.corpus.compare import NONE
from bench.corpus.run import PACKAGE, Ran, add_files, own_environment, results_in, run_to_end
from bench.shapes.shape import HARDENED, STACKS, Shape, judged
from pytest_k8ssec.machine.tools import cache_root
from pytest_k8ssec.reports.write_whole import write_whole

HERE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Row:
    """One control on one shape."""

    shape: str
    control: str
    expected: str
    """Verdict."""
    got: str
    """Verdict, and its reason where it is not the expected one."""
    reason: str
    """Why what is expected is right."""

    @property
    def right(self) -> bool:
        """Whether there is no difference."""
        return self.got == self.expected

    @property
    def line(self) -> str:
        """The difference in a line."""
        return f"{self.shape}: {self.control}: {self.got}; right is {self.expected}, as {self.reason}"


def judge(shape: Shape, folder: Path) -> tuple[tuple[Row, ...], Ran]:
    """What all controls say on a shape, beside what is right.

    Args:
        folder: of its own, for its configuration and its report; a report of the same sources is taken again.

    Raises:
        DiskError: the folder can't be written.
    """
    came = ran(shape, folder)
    found = {each["control"]: each for each in came.results}
    rows = []
    for control in judged():
        expected, reason = shape.expected(control)
        got = f"{NONE}: {came.why}" if came.why else NONE
        if control in found:
            got = found[control]["verdict"]
            if got != expected:
                got = f"{got} ({str(found[control]['reason']).partition(chr(10))[0]})"
        rows.append(Row(shape.name, control, str(expected), got, reason))
    return tuple(rows), came


def ran(shape: Shape, folder: Path) -> Ran:
    """The results of all controls on a shape; see :func:`judge`."""
    file = shape.write(folder)
    stack = shape.stack(folder)
    digest = _sources(folder, stack)
    mark = folder / "sources"
    if mark.exists() and mark.read_text().strip() == digest and (kept := results_in(folder)):
        return Ran(kept, "", again=True)
    for old in (mark, folder / "report.json"):
        old.unlink(missing_ok=True)
    if shape.control_planes > 1 and (why := _load_balancer(folder)):
        return Ran((), why)
    # In this repository, for its settings: they say what the platform's image is, and who gives its secret.
    given = {"K8SSEC_DEMO_API_KEY": secrets.token_hex(16)}
    ended = run_to_end(_command(file, stack, folder), folder, {**own_environment(), **given}, place=HERE)
    results = results_in(folder)
    if not set(judged()) <= {each["control"] for each in results}:
        return Ran(results, f"{ended}; see {folder / 'output'}")
    write_whole(mark, f"{digest}\n")
    return Ran(results, "")


def _sources(folder: Path, stack: Path) -> str:
    """A digest of all that the report depends on: the configuration, the stack, this package, and the node image."""
    told = hashlib.sha256()
    for name in ("kind.yaml", "kind-after.yaml"):
        told.update((folder / name).read_bytes())
    for root in (stack, HARDENED, STACKS / "platform_kit", PACKAGE):
        add_files(told, root)
    tools = cache_root() / "tools.json"
    told.update(json.dumps(_image(tools)).encode())
    return told.hexdigest()


def _image(tools: Path) -> Mapping[str, str]:
    try:
        found: Mapping[str, str] = json.loads(tools.read_text())["node_image"]
    except (OSError, ValueError, KeyError):
        return {}
    return found


def _load_balancer(folder: Path) -> str:
    """Have what kind puts before several control planes. Returns why there is none, "" where there is one."""
    done = subprocess.run(
        [sys.executable, "-m", "toolchain", "build", "--only", "load-balancer-image"],
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (folder / "load-balancer").write_text(done.stdout + done.stderr)
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
    return f"no load balancer: {''.join(last)}" if done.returncode else ""


def _command(file: Path, stack: Path, folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--k8ssec-controls", "pytest_k8ssec/controls",
        f"--k8ssec-stack={stack}",
        f"--k8ssec-kind-config={file}",
        f"--k8ssec-report={folder}",
        "--k8ssec-fresh",  # one run each: frozen, they would push out clusters that are thawed every day
    ]  # fmt: skip


def told(rows: tuple[Row, ...]) -> list[dict[str, str]]:
    """As verdicts.json has them."""
    return [asdict(row) for row in rows]
