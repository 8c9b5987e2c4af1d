"""Binaries from the modules under go/: one folder, one module, one output."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from toolchain import embed, golang
from toolchain.embed import Embedded
from toolchain.output import FolderOutput, source
from toolchain.process import logged
from toolchain.settings import GO_MODULES

STRIPPED = "-s -w"
DEADLINE = 40 * 60
"""Seconds for one module, downloads included: the largest takes 8 minutes on two cores that it has for itself."""


class GoBinaries(FolderOutput):
    """All that a module's go.mod names on `tool` lines, and its own main package if it has one."""

    compiles = True

    def __init__(
        self,
        name: str,
        module: str = "",
        *,
        stamps: tuple[str, ...] = (),
        tags: str = "",
        renamed: tuple[tuple[str, str], ...] = (),
        links: tuple[str, ...] = (),
        release: str = "",
        embedded: Embedded | None = None,
    ) -> None:
        """The module is the one whose version counts; none, where the source is all our own.

        Stamps are `variable=value` for the linker, with {version} in the value; links are further names for the
        first binary; `renamed` is for binaries whose package is not called as the program is; `release` is what the
        program is called where go.mod can only name a commit.
        """
        self.name = name
        self.version = release or (golang.required(name, module) if module else "v0.0.0")
        self._renamed = renamed
        self._links = links
        self._embedded = embedded
        major, minor, _ = self.version.removeprefix("v").split(".", 2)
        stamped = [stamp.format(version=self.version, major=major, minor=minor) for stamp in stamps]
        linker = " ".join([STRIPPED, *(f"-X {stamp}" for stamp in stamped)])
        self._flags = ("-ldflags", linker, *(("-tags", tags) if tags else ()))

    @property
    def _folder(self) -> Path:
        return GO_MODULES / self.name

    def ingredients(self) -> Iterator[bytes]:
        """The module's files, the flags, Go itself, and the recipe."""
        yield from source(*sorted(self._folder.iterdir()), Path(__file__))
        yield repr((self._flags, self._renamed, self._links, sorted(golang.ENVIRONMENT.items()))).encode()
        if self._embedded:
            yield from source(Path(embed.__file__))
            yield repr(self._embedded).encode()
        yield golang.go().version.encode()

    def fill(self, into: Path, log: Path) -> None:
        """One `go build` for all of them, so that what they share is compiled and checked once."""
        packages = []
        if (self._folder / "main.go").exists():
            packages.append(".")
        if "\ntool " in (self._folder / "go.mod").read_text():
            packages.append("tool")
        with ExitStack() as stack:
            folder = self._folder
            if self._embedded:
                folder = stack.enter_context(embed.embedding(self.name, self._embedded, self.version.removeprefix("v")))
            logged(
                [golang.go().command(), "build", *self._flags, "-o", f"{into}/", *packages],
                log=log,
                deadline=DEADLINE,
                env=golang.ENVIRONMENT,
                cwd=folder,
            )
        for package, program in self._renamed:
            (into / package).rename(into / program)
        for link in self._links:
            (into / link).symlink_to(self.name)

    def binary(self, name: str = "") -> Path:
        """One of the programs; without a name, the one that is called as the output is."""
        return self.path / (name or self.name)
