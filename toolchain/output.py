"""What a build produces, named by a hash of everything that it is made from.

The name says it all: an output that exists is never stale, so nothing compares times and nothing is built twice. Each
is made in a scratch folder and renamed into place under a lock: an interrupted build leaves no half output, and two
builds at once share the work.
"""

import fcntl
import hashlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from toolchain.settings import folder

KEY_LENGTH = 12


class Output(ABC):
    """One cached thing: a folder of files, or an image in docker's store."""

    name: str
    """Unique, and what `build --only` takes."""
    version: str
    """Of the main thing inside, as tools.json tells it."""
    needs: "tuple[Output, ...]" = ()
    """What it is made from; each one's key is part of its own."""
    compiles: bool = False
    """Keeps the processors busy by itself, so it is built beside the others and not after them."""

    @abstractmethod
    def ingredients(self) -> Iterator[bytes]:
        """All that decides what comes out, besides `needs`."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether it is already there."""

    @abstractmethod
    def make(self, log: Path) -> None:
        """Makes it; called under its lock, and only when it does not exist."""

    @cached_property
    def key(self) -> str:
        """The first digits of the hash of all ingredients."""
        digest = hashlib.sha256()
        for part in (*self.ingredients(), *(need.key.encode() for need in self.needs)):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()[:KEY_LENGTH]

    @property
    def slug(self) -> str:
        """Name and key: the name of its folder, its lock and its log."""
        return f"{self.name}-{self.key}"

    @property
    def log(self) -> Path:
        """Everything that was printed while it was made."""
        return folder("logs") / f"{self.slug}.log"

    def build(self) -> bool:
        """Makes it unless it exists; tells whether there was something to do."""
        with _locked(folder("locks") / f"{self.slug}.lock"):
            if self.exists():
                return False
            self.log.unlink(missing_ok=True)
            self.make(self.log)
            return True


class FolderOutput(Output):
    """An output that is a folder under the cache."""

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return folder("toolchain") / self.slug

    def exists(self) -> bool:
        """A folder under this name is always whole: see `make`."""
        return self.path.is_dir()

    def make(self, log: Path) -> None:
        """Fills a scratch folder, then renames it; one that a killed build left is thrown away first."""
        scratch = folder("scratch") / self.slug
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            self.fill(scratch, log)
            scratch.rename(self.path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @abstractmethod
    def fill(self, into: Path, log: Path) -> None:
        """Writes the output's files into the folder."""


def source(*paths: Path) -> Iterator[bytes]:
    """Files as ingredients, for `Output.ingredients`."""
    for path in paths:
        yield path.name.encode()
        yield path.read_bytes()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits until no other process holds the lock; the kernel frees it when its holder dies."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
