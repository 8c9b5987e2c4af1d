"""A changed copy of a module, where a constant in it decides what a program does and no flag reaches it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain import golang
from toolchain.errors import ToolchainError
from toolchain.process import capture
from toolchain.settings import GO_MODULES, folder


@dataclass(frozen=True)
class Patch:
    """Texts of one of a module's files, each of which is there once, and what stands in their place."""

    module: str
    file: str
    changes: tuple[tuple[str, str], ...]

    def apply(self, folder: Path) -> None:
        """Changes the file in a copy of the module. Raises ToolchainError where the module is not what was expected."""
        path = folder / self.file
        text = path.read_text()
        for old, new in self.changes:
            if text.count(old) != 1:
                raise ToolchainError(f"{self.module}/{self.file}: has {text.count(old)} times {old!r}, not once")
            text = text.replace(old, new)
        path.write_text(text)


@contextmanager
def patched(name: str, patches: tuple[Patch, ...]) -> Iterator[Path]:
    """A go.mod with the changed copies in place of go/<name>'s modules, for `-modfile`, while it is used.

    An overlay would be shorter, but `go build` takes none over its module cache.
    """
    place = folder("scratch") / f"{name}.modules"
    shutil.rmtree(place, ignore_errors=True)
    try:
        place.mkdir()
        for file in ("go.mod", "go.sum"):
            shutil.copy(GO_MODULES / name / file, place)
        for number, patch in enumerate(patches):
            copy = place / str(number)
            shutil.copytree(golang.module_folder(name, patch.module), copy, copy_function=shutil.copyfile)
            _writable(copy)
            patch.apply(copy)
            replace = f"-replace={patch.module}={copy}"
            capture([golang.go().command(), "mod", "edit", replace, place / "go.mod"], deadline=30)
        yield place / "go.mod"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _writable(folder: Path) -> None:
    """The module cache's folders are read-only, and copying a tree copies that."""
    for each in (folder, *folder.rglob("*/")):
        each.chmod(0o755)
