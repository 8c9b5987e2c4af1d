"""A `docker` for PATH whose containers are files, so that what looks for and removes containers runs as it is."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SCRIPT = """\
#!{python} -IS
import json, os, pathlib, re, sys, time

here = pathlib.Path({here!r})
words = sys.argv[1:]
with open(here / "log", "a") as log:
    log.write(" ".join(words) + "\\n")
left = here / "commands-left"
if left.exists() and words[0] == "exec":
    if left.read_text() == "0":
        (here / "breaking").rename(here / "broken")
        left.unlink()
    else:
        left.write_text(str(int(left.read_text()) - 1))
if (here / "hangs").exists():
    time.sleep(600)
if (here / "broken").exists():
    sys.exit((here / "broken").read_text())
there = [json.loads(path.read_text()) for path in sorted((here / "containers").iterdir())]
match words:
    case ["--version"]:
        print("Docker version 28.2.2, build fake")
    case ["version", *_]:
        print((here / "version").read_text())
    case ["info", "--format", "{{{{.ID}}}}"]:
        print((here / "daemon").read_text())
    case ["info", *_]:
        print((here / "info").read_text())
    case ["context", *_]:
        print((here / "endpoint").read_text())
    case ["ps", "--all", "--no-trunc", "--format", columns]:
        for c in there:
            labels = re.findall(r'json [(].Label "(.*?)"', columns)
            print(json.dumps([c["Id"], c["Name"][1:], *(c["Config"]["Labels"].get(label, "") for label in labels)]))
    case ["container", "inspect", *ids]:
        print(json.dumps([c for c in there if c["Id"] in ids]))
        gone = set(ids) - {{c["Id"] for c in there}}
        sys.exit("\\n".join(f"Error response from daemon: No such container: {{id}}" for id in gone) or 0)
    case ["events", *_]:
        known = set()
        while not (here / "broken").exists():
            for path in set((here / "containers").iterdir()):
                if path.name not in known:
                    known.add(path.name)
                    print(path.name, flush=True)
            time.sleep(0.02)
    case ["rm", "--force", "--volumes", *ids]:
        for id in ids:
            (here / "containers" / id).unlink(missing_ok=True)
    case ["volume", "ls", "--quiet"]:
        print((here / "volumes").read_text(), end="")
    case ["volume", "rm", *names]:
        kept = [v for v in (here / "volumes").read_text().split() if v not in names]
        (here / "volumes").write_text("".join(v + "\\n" for v in kept))
    case ["exec", "-i", _, *command]:
        os.execvp(command[0], command)
    case ["image", "inspect", "--format", _, *references]:
        there = dict(line.split()[:2] for line in (here / "images").read_text().splitlines())
        print(*(there[each] for each in references if each in there), sep="\\n")
        sys.exit(0 if set(references) <= set(there) else 1)
    case ["image", "ls", "--quiet", "--no-trunc", "--filter", label, "--filter", reference]:
        for line in (here / "images").read_text().splitlines():
            tag, id, told = line.split(" ", 2)
            if label[6:] in json.loads(told)["Config"]["Labels"] and tag.startswith(reference[10:] + ":"):
                print(id)
    case ["image", "inspect", *ids]:
        lines = [line.split(" ", 2) for line in (here / "images").read_text().splitlines()]
        print(json.dumps([json.loads(told) for _, id, told in lines if id in ids]))
        sys.exit(0 if set(ids) <= {{id for _, id, _ in lines}} else 1)
    case ["image", "rm", *references]:
        used = (here / "used").read_text().split()
        references = [each for each in references if each not in used]
        kept = [line for line in (here / "images").read_text().splitlines() if line.split()[0] not in references]
        (here / "images").write_text("".join(line + "\\n" for line in kept))
    case ["network", *_]:
        print("fc00::1 192.0.2.1 ")
    case _:
        sys.exit(f"not faked: {{' '.join(words)}}")
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
        program.write_text(_SCRIPT.format(here=str(self._here), python=sys.executable))
        program.chmod(0o755)
        self.version = "26.1.5"
        self.endpoint = "unix:///fake.sock"
        self.daemon = "a-daemon"
        self.info = {}
        (self._here / "images").touch()
        (self._here / "used").touch()
        (self._here / "volumes").touch()

    def container(
        self,
        name: str,
        label: str,
        value: str,
        *,
        created: float | None = None,
        binds: Iterable[str] = (),
        volumes: Iterable[str] = (),
        hostname: str = "",
    ) -> str:
        """Have a container, with one label.

        Args:
            created: when, in seconds since the epoch; None for now.
            binds: folders that are mounted.
            volumes: anonymous ones.
            hostname: what it calls itself, "" for its name.

        Returns:
            its id.
        """
        identity = secrets.token_hex(32)
        at = datetime.fromtimestamp(time.time() if created is None else created, UTC)
        described = {
            "Id": identity,
            "Name": f"/{name}",
            "Created": at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "789Z",
            "Config": {"Labels": {label: value}, "Hostname": hostname or name},
            "HostConfig": {"Binds": [f"{bind}:/kind/k8ssec-run:ro" for bind in binds] or None},
            "Mounts": [{"Type": "volume", "Name": volume} for volume in volumes],
        }
        half = self._here / identity
        half.write_text(json.dumps(described))
        half.rename(self._here / "containers" / identity)
        with (self._here / "volumes").open("a") as file:
            file.writelines(f"{volume}\n" for volume in volumes)
        return identity

    @property
    def containers(self) -> list[str]:
        """Names of the containers that are there."""
        return sorted(
            json.loads(path.read_text())["Name"].removeprefix("/") for path in (self._here / "containers").iterdir()
        )

    @property
    def volumes(self) -> list[str]:
        """Names of the volumes that are there."""
        return (self._here / "volumes").read_text().split()

    @property
    def asked(self) -> list[str]:
        """The arguments of each call so far."""
        log = self._here / "log"
        return log.read_text().splitlines() if log.exists() else []

    def image(
        self, reference: str, identity: str = "", *, labels: Mapping[str, str] | None = None, old: float = 0
    ) -> None:
        """Have an image in the local store.

        Args:
            identity: its id, "" for any.
            labels: its labels.
            old: seconds since it was made.
        """
        identity = identity or f"sha256:{secrets.token_hex(32)}"
        made = datetime.fromtimestamp(time.time() - old, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "789Z"
        told = {"Id": identity, "RepoTags": [reference], "Created": made, "Config": {"Labels": labels or {}}}
        with (self._here / "images").open("a") as file:
            file.write(f"{reference} {identity} {json.dumps(told)}\n")

    def uses(self, *references: str) -> None:
        """Have containers that were made of these images, and of no others."""
        (self._here / "used").write_text(" ".join(references))

    @property
    def images(self) -> list[str]:
        """What the images in the local store are called."""
        return [line.split()[0] for line in (self._here / "images").read_text().splitlines()]

    def breaks(self, said: str, *, after: int | None = None) -> None:
        """Every call fails with these words: from now on, or once so many commands were run in containers, from the next one on.

        Of other calls nobody knows how many come before: some are made beside.
        """
        if after is None:
            (self._here / "broken").write_text(said)
            return
        (self._here / "breaking").write_text(said)
        (self._here / "commands-left").write_text(str(after))

    def hangs(self) -> None:
        """From now on no call comes to an end."""
        (self._here / "hangs").touch()

    def fixes(self) -> None:
        """From now on calls are answered again."""
        for name in ("broken", "hangs"):
            (self._here / name).unlink(missing_ok=True)

    @property
    def version(self) -> str:
        """Version of the daemon."""
        return (self._here / "version").read_text().strip()

    @version.setter
    def version(self, version: str) -> None:
        (self._here / "version").write_text(version)

    @property
    def endpoint(self) -> str:
        """Address of the daemon."""
        return (self._here / "endpoint").read_text().strip()

    @endpoint.setter
    def endpoint(self, address: str) -> None:
        (self._here / "endpoint").write_text(address)

    @property
    def daemon(self) -> str:
        """The daemon's own id."""
        return (self._here / "daemon").read_text().strip()

    @daemon.setter
    def daemon(self, identity: str) -> None:
        (self._here / "daemon").write_text(identity)

    @property
    def info(self) -> Mapping[str, Any]:
        """What `docker info` tells."""
        told = json.loads((self._here / "info").read_text())
        assert isinstance(told, dict)
        return told

    @info.setter
    def info(self, told: Mapping[str, Any]) -> None:
        (self._here / "info").write_text(json.dumps(told))
