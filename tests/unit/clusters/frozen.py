"""Entries of the shelf, for tests."""

from __future__ import annotations

import time

from pytest_k8ssec.clusters.frozen import shelf
from pytest_k8ssec.clusters.frozen.shelf import FrozenCluster, FrozenNode, Token
from pytest_k8ssec.clusters.frozen.strays import CACHE_LABEL, this_cache
from tests.unit.machine.dockers import FakeDocker


def put_entry(
    docker: FakeDocker, key: str, *, size: int = 1, old: float = 0, run: str = "", cache: str = ""
) -> FrozenCluster:
    """Have an entry of one node.

    Args:
        docker: has its image.
        old: seconds since it was made.
        run: of what run its image is.
        cache: of what cache its image is, "" for this one.
    """
    tag, identity = f"{shelf.REPOSITORY}:{key}{run}-0", f"sha256:{key}{run}"
    labels = {shelf.FROZEN_LABEL: key, CACHE_LABEL: cache or this_cache()}
    docker.image(tag, identity, labels=labels, old=old)
    node = FrozenNode(
        f"{key}-control-plane", "control-plane", "control-plane", tag, identity, "machine", ("--tty",),
        ("@mark:/kind/k8ssec-run:ro",), (("127.0.0.1", "", "6443/tcp"),), "kind: KubeletConfiguration\n", "",
    )  # fmt: skip
    entry = FrozenCluster(key, time.time() - old, (node,), (Token(public=True, fields={"description": "d"}),), size)
    shelf.put(entry)
    return entry
