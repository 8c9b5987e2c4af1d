"""Images of frozen clusters that no record names: of a cache that was thrown away, or of a record that is gone or damaged.

Each image says by its labels of which entry it is and of which cache. One of this cache is a stray if no record names it
and nobody is making or using its entry; one of another cache of this machine if that folder is gone. Whoever else it belongs
to, after thirty days no cache makes a cluster of it any more.
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

from pytest_k8ssec.clusters.frozen import shelf
from pytest_k8ssec.machine import docker

CACHE_LABEL = "io.k8ssec.frozen.cache"
"""Label of the images; its value is what :func:`this_cache` gave where they were made."""
_MARGIN_SECONDS = 86400
_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class _Image:
    tags: tuple[str, ...]
    key: str
    cache: str
    made: float


def this_cache() -> str:
    """The machine that we run on and the folder of our records, as one word.

    Raises:
        OSError: the cache is not ours.
    """
    return f"{_machine()}:{quote(str(shelf.folder().resolve()))}"


def remove_strays() -> list[str]:
    """Remove the images that belong to no entry of any cache. One that a container was made of stays until that is gone.

    Returns:
        their tags.

    Raises:
        CommandError: docker did not answer.
        OSError: the cache is not ours.
    """
    named, here = shelf.images(), this_cache()
    gone: list[str] = []
    for image in _labelled():
        tags = [tag for tag in image.tags if tag not in named]
        if not tags:
            continue
        if image.cache == here and image.key:
            with shelf.alone(image.key) as ours:  # else it is being made, and its record comes last
                if ours:
                    gone += shelf.remove_images(tag for tag in tags if tag not in shelf.images())
        elif _thrown_away(image.cache) or time.time() - image.made > shelf.OLDEST_SECONDS + _MARGIN_SECONDS:
            gone += shelf.remove_images(tags)
    return gone


def _labelled() -> Iterator[_Image]:
    wanted = ("--filter", f"label={shelf.FROZEN_LABEL}", "--filter", f"reference={shelf.REPOSITORY}")
    ids = docker.docker("image", "ls", "--quiet", "--no-trunc", *wanted).text.split()
    if not ids:
        return
    # One may be gone by now: docker tells of the others all the same.
    told = docker.docker("image", "inspect", *dict.fromkeys(ids), check=False).stdout
    for each in json.loads(told or b"[]"):
        labels = (each.get("Config") or {}).get("Labels") or {}
        tags = tuple(tag for tag in each.get("RepoTags") or () if tag.startswith(f"{shelf.REPOSITORY}:"))
        made = datetime.fromisoformat(each["Created"]).timestamp() if each.get("Created") else time.time()
        yield _Image(tags, Path(labels.get(shelf.FROZEN_LABEL, "")).name, labels.get(CACHE_LABEL, ""), made)


def _thrown_away(cache: str) -> bool:
    """Whether it is a cache of this machine whose folder is not there any more; one that can't be looked at is there."""
    machine, _, place = cache.partition(":")
    if machine != _machine() or not place:
        return False
    try:
        Path(unquote(place)).stat()  # Path.exists would call gone what may not be looked at
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _machine() -> str:
    """Tells apart machines, and containers: the same path is another folder in each."""
    root = Path("/").stat()
    words = [socket.gethostname(), str(root.st_dev), str(root.st_ino)]
    with suppress(OSError):
        words.append(_MACHINE_ID.read_text().strip())
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]
