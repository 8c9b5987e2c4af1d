"""What is there and what is missing."""

import sys

from toolchain import docker, golang
from toolchain.plan import Plan
from toolchain.tools_json import tools_file


def status(plan: Plan) -> None:
    """One line for each thing, on stdout."""
    go, daemon = golang.go(), docker.answers()
    rows = [
        ("go", go.version, "from PyPI" if go.wheel else "on PATH"),
        ("docker", daemon or "-", "answers" if daemon else "does not answer: python3 -m toolchain docker"),
        *((output.name, output.version, output.slug if output.exists() else "missing") for output in plan.outputs()),
        ("tools.json", "-", str(tools_file()) if tools_file().exists() else "missing: python3 -m toolchain build"),
    ]
    for name, version, where in rows:
        sys.stdout.write(f"{name:28}{version:16}{where}\n")
