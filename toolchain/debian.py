"""Slim Debian root file systems, as tar files that serve as an image's lowest layer."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from toolchain import apt
from toolchain.output import FolderOutput, source
from toolchain.process import logged
from toolchain.settings import versions

EXCLUDED = ("doc", "man", "locale", "info", "zoneinfo", "bug", "lintian")
"""Folders of /usr/share that no container needs."""

COMMON_DROP = (
    "etc/apt/sources.list*",
    "etc/apt/preferences.d/*",
    "etc/hostname",  # of the machine that built it
    "etc/resolv.conf",
    "var/cache/*",
    "var/lib/apt/lists/*",
    "var/log/*",
)

NO_USRMERGE = "Package: usrmerge\\nPin: release *\\nPin-Priority: -1\\n"
"""Without it, apt merges /usr by a package that brings all of perl, instead of the empty usr-is-merged."""

COMPILE_PYTHON = (
    'if [ -x "$1"/usr/bin/python3 ]; then'
    ' chroot "$1" python3 -m compileall -qq --invalidation-mode unchecked-hash /usr/lib/python3*; fi'
)
"""On a read-only root file system Python could not keep what it compiled, and would do it again at every start."""


class DebianRoot(FolderOutput):
    """The packages of one table of versions.toml, with all they depend on and nothing they recommend."""

    def __init__(self, purpose: str) -> None:
        """The purpose names the table."""
        self.name = f"debian-{purpose}"
        self.version = versions()["debian"]["suite"]
        self._packages: list[str] = versions()["debian"][purpose]["packages"]
        self._drop: list[str] = versions()["debian"][purpose].get("drop", [])

    @property
    def tar(self) -> Path:
        """The whole root, uncompressed."""
        return self.path / "root.tar"

    def ingredients(self) -> Iterator[bytes]:
        """What versions.toml says, the processor's kind, and the recipe."""
        yield from source(Path(__file__))
        yield repr((self.version, self._packages, self._drop, platform.machine())).encode()

    def fill(self, into: Path, log: Path) -> None:
        """Essential packages only, without even apt: nothing is ever installed later."""
        apt.require_root_on_debian("making a Debian root file system")
        apt.ensure_program("mmdebstrap", "mmdebstrap", log)
        listed = into / "sources.list"
        listed.write_text(apt.sources(self.version))
        drop = " ".join(f'"$1"/{pattern}' for pattern in (*COMMON_DROP, *self._drop))
        logged(
            [
                # A mount namespace of its own: what it mounts is gone when it is, even if it is killed.
                *("unshare", "--mount", "mmdebstrap"),
                "--mode=root",
                "--variant=essential",
                f"--include={','.join(['usr-is-merged', *self._packages])}",
                '--aptopt=Apt::Install-Recommends "0"',
                *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED),
                "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
                f"--setup-hook=printf '{NO_USRMERGE}' > \"$1\"/etc/apt/preferences.d/no-usrmerge",
                f"--customize-hook=rm -rf {drop}",
                f"--customize-hook={COMPILE_PYTHON}",
                self.version,
                into / "root.tar",
                listed,
            ],
            log=log,
            deadline=900,
            env={
                "DEBIAN_FRONTEND": "noninteractive",
                "LC_ALL": "C",
                "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
                "TMPDIR": str(into),
            },
        )
        listed.unlink()
