"""A module's folder with files beside it that its main package embeds, and that only another module has."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain import golang
from toolchain.settings import GO_MODULES, folder


@dataclass(frozen=True)
class Embedded:
    """JSON files of a module that go/<name>/go.mod requires."""

    module: str
    folder: str
    """Where they are in the module."""
    plain: tuple[str, ...]
    """Those that are copied as they are."""
    versioned: tuple[str, ...]
    """Those that get the program's version at their top, under `version`."""

    def put(self, source: Path, into: Path, version: str) -> None:
        """Writes them into a folder, from the module's own."""
        for name in self.plain:
            shutil.copyfile(source / self.folder / name, into / name)
        for name in self.versioned:
            document = json.loads((source / self.folder / name).read_text())
            (into / name).write_text(json.dumps({**document, "version": version}))


@contextmanager
def embedding(name: str, embedded: Embedded, version: str) -> Iterator[Path]:
    """A copy of go/<name> with those files, while it is used: what is generated stands in no checkout."""
    place = folder("scratch") / f"{name}.module"
    shutil.rmtree(place, ignore_errors=True)
    try:
        shutil.copytree(GO_MODULES / name, place)
        embedded.put(golang.module_folder(name, embedded.module), place, version)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
