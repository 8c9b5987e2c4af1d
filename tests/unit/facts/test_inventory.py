"""What is listed to be searched: every kind in one version, every page, every log there is; a gap is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import KubeApi, Response
from pytest_k8ssec.errors import ClusterError, ProbeError
from pytest_k8ssec.facts.inventory import LOG_BYTES, logs, objects


def resource(name: str, scope: str, *verbs: str) -> dict[str, Any]:
    """One resource, as aggregated discovery tells it."""
    return {"resource": name, "scope": scope, "verbs": verbs or ("get", "list")}


def group(name: str, *versions: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """One group with its versions, the preferred one first."""
    listed = [{"version": version, "resources": resources} for version, resources in versions]
    return {"metadata": {"name": name} if name else {}, "versions": listed}


CORE = [
    resource("pods", "Namespaced"),
    resource("nodes", "Cluster"),
    resource("bindings", "Namespaced", "create"),
]
BETA = [resource("deployments", "Namespaced"), resource("plans", "Cluster")]
ANSWERS: dict[str, Any] = {
    "/api": {"items": [group("", ("v1", CORE))]},
    "/apis": {"items": [group("apps", ("v1", [resource("deployments", "Namespaced")]), ("v1beta1", BETA))]},
    "/api/v1/nodes": {"kind": "NodeList", "items": [{"metadata": {"name": "n"}}]},
    "/api/v1/namespaces/a/pods": {"kind": "PodList", "items": [], "metadata": {"continue": "more"}},
    "/api/v1/namespaces/a/pods more": {"kind": "PodList", "items": [{"metadata": {"name": "p"}}]},
    "/apis/apps/v1/namespaces/a/deployments": {"kind": "DeploymentList", "items": None},
    "/apis/apps/v1beta1/plans": {"kind": "PlanList", "items": [{"metadata": {"name": "x"}}]},
}


class Api:
    """Answers from a table; a number is a status."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers

    def request(self, _method: str, path: str, *, params: Mapping[str, str], **_: object) -> Response:
        """The answer of the table, by path and what tells one request from another."""
        key = " ".join([path, *(params[name] for name in ("continue", "container", "previous") if name in params)])
        found = self.answers.get(key, 404)
        if isinstance(found, bytes):
            return Response(200, {}, 0, found)
        if found == 0:
            raise ClusterError("no answer")
        return Response(found, {}, 0) if isinstance(found, int) else Response(200, found, 0)


def api(answers: Mapping[str, Any]) -> KubeApi:
    """The table, as the type checker wants it."""
    return cast("KubeApi", Api(answers))


def test_every_kind_is_listed_once_and_to_its_end() -> None:
    """In the preferred version that has it, in the namespaces that were named, and page by page."""
    found = [(one["kind"], one["metadata"]["name"]) for one in objects(api(ANSWERS), ["a"])]
    assert [("Pod", "p"), ("Node", "n"), ("Plan", "x")] == found


@pytest.mark.parametrize("status", [0, 401, 403, 404, 500])
@pytest.mark.parametrize("path", ["/api", "/apis", "/api/v1/nodes", "/api/v1/namespaces/a/pods more"])
def test_what_can_not_be_listed_is_an_error(path: str, status: int) -> None:
    """A search that left something out has not found nothing."""
    with pytest.raises(ProbeError):
        list(objects(api({**ANSWERS, path: status}), ["a"]))


def test_an_api_that_is_down_is_an_error() -> None:
    """What it holds is not in discovery, or can't be listed."""
    for name, tells in (("wardle.example.dev", True), ("metrics.k8s.io", False)):
        down = group(name, ("v1", []))
        down["versions"][0]["freshness"] = "Stale"
        answers = {**ANSWERS, "/apis": {"items": [*ANSWERS["/apis"]["items"], down]}}
        if tells:
            with pytest.raises(ProbeError, match=r"API wardle\.example\.dev/v1"):
                list(objects(api(answers), ["a"]))
        else:
            assert list(objects(api(answers), ["a"])), "figures of use are no objects"


POD = {
    "metadata": {"name": "p", "namespace": "a"},
    "status": {
        "initContainerStatuses": [{"name": "init", "state": {"terminated": {"exitCode": 0}}}],
        "containerStatuses": [
            {"name": "main", "state": {"running": {"startedAt": "x"}}, "restartCount": 1},
            {"name": "late", "state": {"waiting": {"reason": "x"}}},
        ],
    },
}
LOG = "/api/v1/namespaces/a/pods/p/log"
LOGS = {
    "/api/v1/namespaces/a/pods": {"kind": "PodList", "items": [POD]},
    f"{LOG} init": b"first",
    f"{LOG} main true": b"before",
    f"{LOG} main": b"now \xff",
}


def test_every_log_is_read() -> None:
    """Of containers that ended, and of the run before a restart, too; what never started has none."""
    found = list(logs(api(LOGS), ["a"]))
    assert [("a/p init", "first", True), ("a/p main", "before", True), ("a/p main", "now \ufffd", True)] == found


def test_a_log_that_is_gone_is_none() -> None:
    """With its pod, or, after a restart, with its container."""
    gone = {**LOGS, f"{LOG} main true": 400, f"{LOG} main": 404}
    assert [("a/p init", "first", True)] == list(logs(api(gone), ["a"]))


def test_a_log_that_was_cut_says_so() -> None:
    """What is looked for may stand in the rest."""
    long = {**LOGS, f"{LOG} init": b"x" * LOG_BYTES}
    assert [False, True, True] == [whole for _, _, whole in logs(api(long), ["a"])]


@pytest.mark.parametrize("status", [0, 400, 403, 500])
def test_a_log_that_can_not_be_read_is_an_error(status: int) -> None:
    """It may hold what is looked for."""
    with pytest.raises(ProbeError):
        list(logs(api({**LOGS, f"{LOG} main": status}), ["a"]))
