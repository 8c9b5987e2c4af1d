"""Which language host runs a program: one that is there, or for Node.js a stand-in of ours."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from pytest_k8ssec.errors import StackError, ToolMissing
from pytest_k8ssec.stack.source import Prepared

INLINE = "python"
"""The runtime whose programs run inside the child where it has no host."""
_NODE = "nodejs"
_RUNNER = Path("node_modules", "@pulumi", "pulumi", "cmd", "run")
"""What Pulumi's own host starts a program by. It belongs to the project's SDK, so the two fit each other."""
_HOST_MODULE = "pytest_k8ssec.stack.node_host"


def find_host(prepared: Prepared, pulumi: Path, path: str, folder: Path) -> Path | None:
    """The language host of a program.

    Args:
        pulumi: the command line; the engine also finds what is beside it.
        path: the PATH on which the engine looks before that.
        folder: where a stand-in is made; the engine finds that once the folder is on PATH.

    Returns:
        the host, or None: it is a Python program, which runs inside the child.

    Raises:
        StackError: a host is missing, or what our stand-in needs of the project.
        ToolMissing: there is no Node.js for our stand-in.
    """
    runtime = prepared.project.runtime
    name = f"pulumi-language-{runtime}"
    if found := shutil.which(name, path=path) or shutil.which(name, path=str(pulumi.resolve().parent)):
        return Path(found)
    if runtime == INLINE:
        return None
    if runtime == _NODE:
        return _stand_in(prepared, path, folder)
    raise StackError(
        f"{prepared.source}: runs in {runtime}, and {name} is not there",
        fix=f"install the official Pulumi release, which brings {name}",
    )


def _stand_in(prepared: Prepared, path: str, folder: Path) -> Path:
    node = shutil.which("node", path=path)
    if node is None:
        raise ToolMissing("node: is not on PATH, and the stack runs in Node.js", fix="install Node.js 20 or newer")
    directory = prepared.project.directory
    runner = next((one / _RUNNER for one in (directory, *directory.parents) if (one / _RUNNER).is_dir()), None)
    if runner is None:
        raise StackError(
            f"{prepared.source}: its packages are not installed: there is no {_RUNNER.parent.parent}",
            fix=f"run `npm install` in {directory}",
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    script = folder / f"pulumi-language-{_NODE}"
    words = shlex.join([sys.executable, "-P", "-m", _HOST_MODULE, node, str(runner)])
    script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    script.chmod(0o700)
    return script
