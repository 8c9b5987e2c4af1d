"""Deletes an object of the stack for a while, and creates it again as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.errors import SabotageError

_OF_THE_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
_SECONDS = 30


@contextmanager
def deleted(api: KubeApi, path: str) -> Iterator[None]:
    """Delete an object, and create it again in every ending; a quota is waited for until it counts again.

    Raises:
        SabotageError: it is still there.
        ClusterError: it could not be deleted, or not be created again.
    """
    before = api.get(path)
    collection, _, name = path.rpartition("/")
    api.delete(path, grace=0)
    try:
        if api.request("GET", path).status != 404:
            raise SabotageError(f"{path}: was deleted, and is still there")
        yield
    finally:
        meta = {key: value for key, value in before["metadata"].items() if key not in _OF_THE_SERVER}
        api.call("POST", collection, body={**before, "metadata": meta, "status": None})
        if before["kind"] == "ResourceQuota":
            api.wait(collection, name, _counts, deadline=_SECONDS, what=f"{path}: is not counted again")


def _counts(quota: Body | None) -> bool:
    """Whether the quota's controller has taken it up: until then the API server admits nothing that it bounds."""
    found = quota or {}
    return bool(found) and found.get("status", {}).get("hard") == found["spec"]["hard"]
