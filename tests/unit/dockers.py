"""A `docker` for PATH whose containers are files, so that what looks for and removes containers runs as it is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SCRIPT = """\
#!/bin/sh
here={here}
echo "$*" >> $here/log
if [ -e $here/after ] && [ $(wc -l < $here/log) -gt $(cat $here/after) ]; then mv $here/breaking $here/broken; rm $here/after; fi
if [ -e $here/hangs ]; then exec sleep 600; fi
if [ -e $here/broken ]; then cat $here/broken >&2; exit 1; fi
case "$1" in
  --version) echo "Docker version 28.2.2, build fake" ;;
  version) cat $here/version ;;
  info) cat $here/info ;;
  context) cat $here/endpoint ;;
  ps) cd $here/containers; grep -lx "${{4#label=}}" * 2>/dev/null || true ;;
  rm) shift 3; cd $here/containers && rm -f "$@" ;;
  exec) shift 3; exec "$@" ;;
  image) grep -qx "$5" $here/images ;;
  network) echo "fc00::1 192.0.2.1 " ;;
  *) echo "not faked: $*" >&2; exit 1 ;;
esac
"""


class FakeDocker:
    """A folder with a `docker` in it; put it on PATH.

    Args:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._here = folder / "state"
        (self._here / "containers").mkdir(parents=True)
        program = folder / "docker"
        program.write_text(_SCRIPT.format(here=shlex.quote(str(self._here))))
        program.chmod(0o755)
        self.version = "26.1.5"
        self.endpoint = "unix:///fake.sock"
        self.info = {}
        (self._here / "images").touch()

    def container(self, name: str, label: str, value: str) -> None:
        """Have a container, with one label."""
        (self._here / "containers" / name).write_text(f"{label}={value}\n")

    @property
    def containers(self) -> list[str]:
        """Names of the containers that are there."""
        return sorted(path.name for path in (self._here / "containers").iterdir())

    @property
    def asked(self) -> list[str]:
        """The arguments of each call so far."""
        log = self._here / "log"
        return log.read_text().splitlines() if log.exists() else []

    def image(self, reference: str) -> None:
        """Have an image in the local store."""
        with (self._here / "images").open("a") as file:
            file.write(f"{reference}\n")

    def breaks(self, said: str, *, after: int = 0) -> None:
        """From now on, or after so many further calls, every call fails with these words."""
        if not after:
            (self._here / "broken").write_text(said)
            return
        (self._here / "breaking").write_text(said)
        (self._here / "after").write_text(str(len(self.asked) + after))

    def hangs(self) -> None:
        """From now on no call comes to an end."""
        (self._here / "hangs").touch()

    def mends(self) -> None:
        """From now on calls are answered again."""
        for name in ("broken", "hangs"):
            (self._here / name).unlink(missing_ok=True)

    @property
    def version(self) -> str:
        """Version of the daemon."""
        return (self._here / "version").read_text().strip()

    @version.setter
    def version(self, version: str) -> None:
        (self._here / "version").write_text(f"{version}\n")

    @property
    def endpoint(self) -> str:
        """Address of the daemon."""
        return (self._here / "endpoint").read_text().strip()

    @endpoint.setter
    def endpoint(self, address: str) -> None:
        (self._here / "endpoint").write_text(f"{address}\n")

    @property
    def info(self) -> Mapping[str, Any]:
        """What `docker info` tells."""
        told = json.loads((self._here / "info").read_text())
        assert isinstance(told, dict)
        return told

    @info.setter
    def info(self, told: Mapping[str, Any]) -> None:
        (self._here / "info").write_text(json.dumps(told))
