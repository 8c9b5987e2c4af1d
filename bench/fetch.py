r"""Gets the peers: Go ones by the toolchain, Python ones from PyPI, pinned by hash; all kept in the tools' cache.

To pin another version of a Python one (NAME; what kube-hunter needs of `dataclasses` is in the standard library):

    echo NAME==VERSION | .venv/bin/uv pip compile - --universal --generate-hashes --no-header --python-version 3.11 \
        --no-emit-package dataclasses -o requirements/NAME.txt

A Go one by its go.mod, as toolchain/README.md tells; kube-bench was not in the public checksum database.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from toolchain import golang
from toolchain.binaries import peers
from toolchain.output import FolderOutput, source
from toolchain.process import logged

_REQUIREMENTS = Path(__file__).parent.parent / "requirements"
_SECONDS = 600


class PythonPackages(FolderOutput):
    """A tool from PyPI with all that it needs, as one folder to put on a Python's path.

    Args:
        name: of the tool, and of the file in requirements/ that pins it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._pins = _REQUIREMENTS / f"{name}.txt"
        line = next(line for line in self._pins.read_text().splitlines() if line.startswith(f"{name}=="))
        self.version = line.split()[0].partition("==")[2]

    def ingredients(self) -> Iterator[bytes]:
        """The pins, and the Python that compiled extensions fit."""
        yield from source(self._pins, Path(__file__))
        yield repr((sys.version_info[:2], sys.platform)).encode()

    def fill(self, into: Path, log: Path) -> None:
        """By uv, as the project's own environment is; what has no wheel is built with tools that are pinned too."""
        logged(
            [
                *(Path(sys.executable).with_name("uv"), "pip", "install", "--python", sys.executable, "--target", into),
                *("--no-deps", "--require-hashes", "--build-constraints", self._pins, "--requirement", self._pins),
            ],
            log=log,
            deadline=_SECONDS,
        )


@cache
def packages(name: str) -> PythonPackages:
    """A Python tool; nothing is fetched yet."""
    return PythonPackages(name)


def binary(name: str) -> Path:
    """A Go tool, built now unless it is there."""
    peers()[name].build()
    return peers()[name].binary()


def version(name: str) -> str:
    """The version of a Go tool."""
    return peers()[name].version


def sources(name: str, module: str) -> Path:
    """The folder of a Go tool's own files: configuration that is not part of its binary."""
    return golang.module_folder(name, module)
