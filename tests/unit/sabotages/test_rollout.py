"""Which Deployment a sabotage weakens, and that a namespace is never left loosened, whatever becomes of the request."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.errors import ClusterError, SabotageError
from pytest_k8ssec.pods.manifests import ENFORCE
from pytest_k8ssec.sabotages.rollout import _taken, deployment, enforcing
from pytest_k8ssec.stack import Stack

NAMESPACE, SHOP, API = "/api/v1/namespaces/web", "/apis/apps/v1/namespaces/web/deployments/shop", "/apis/apps/v1/namespaces/web/deployments/api"  # fmt: skip


class Store:
    """Objects by path; a request that is listed in ``lost`` is done, and its answer never comes."""

    def __init__(self) -> None:
        self.objects: dict[str, Body] = {
            NAMESPACE: {"metadata": {"labels": {ENFORCE: "restricted"}}},
            SHOP: {"metadata": {}},
            API: {"metadata": {"annotations": None}},
        }
        self.lost = 0

    def path(self, _version: str, _kind: str, namespace: str, name: str) -> str:
        """Where a Deployment is."""
        return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"

    def get(self, path: str) -> Body:
        """An object as it is now."""
        return copy.deepcopy(self.objects[path])

    def call(self, _verb: str, path: str, *, body: Body, headers: object) -> None:
        """Change labels or annotations."""
        for field, values in body["metadata"].items():
            there = dict(self.objects[path]["metadata"].get(field) or {})
            there.update(values)
            self.objects[path]["metadata"][field] = {key: value for key, value in there.items() if value is not None}
        if self.lost:
            self.lost -= 1
            raise ClusterError("no answer came")


def stack(*kinds: str) -> Stack:
    """Workloads of these kinds, called shop and api."""
    made = [
        SimpleNamespace(kind=kind, namespace="web", name=name)
        for kind, name in zip(kinds, ("shop", "api"), strict=False)
    ]
    return cast("Stack", SimpleNamespace(workloads=lambda: made))


@pytest.fixture
def store() -> Store:
    """A namespace and two Deployments."""
    return Store()


def chosen(store: Store) -> str:
    """Name of the one that is weakened next."""
    return deployment(cast("KubeApi", store), stack("Deployment", "Deployment")).name


def test_each_sabotage_takes_another_one_while_there_is_one(store: Store) -> None:
    """And gives it back; where all are taken it is the first, whose mark stays as long as the first sabotage's."""
    api = cast("KubeApi", store)
    with _taken(api, SHOP):
        assert "api" == chosen(store)
        with _taken(api, API), _taken(api, SHOP):
            assert "shop" == chosen(store)
        assert "api" == chosen(store)
    assert "shop" == chosen(store)


def test_a_stack_without_one_is_told(store: Store) -> None:
    """Nothing else of it can be rolled out and back."""
    with pytest.raises(SabotageError, match="has no Deployment"):
        deployment(cast("KubeApi", store), stack("StatefulSet"))


def test_what_was_done_without_an_answer_is_undone(store: Store) -> None:
    """Each later breach of that namespace would be a kill for nothing."""
    before = copy.deepcopy(store.objects)
    for undone in (enforcing(cast("KubeApi", store), "web", "privileged"), _taken(cast("KubeApi", store), API)):
        store.lost = 1
        with pytest.raises(ClusterError, match="no answer"), undone:
            pytest.fail("begun all the same")
    assert before[NAMESPACE] == store.objects[NAMESPACE]
    assert "shop" == chosen(store)
    assert not store.objects[API]["metadata"]["annotations"]


def test_a_level_that_another_one_lowered_further_stays(store: Store) -> None:
    """Until that one raises it again."""
    api = cast("KubeApi", store)
    level: dict[str, Any] = store.objects[NAMESPACE]["metadata"]
    with enforcing(api, "web", "privileged"):
        with enforcing(api, "web", "baseline"):
            assert {ENFORCE: "privileged"} == level["labels"]
        assert {ENFORCE: "privileged"} == level["labels"]
    assert {ENFORCE: "restricted"} == level["labels"]
