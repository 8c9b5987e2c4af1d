"""What the controls tell users to paste, pasted: API servers take it, and a cluster that is made from it holds."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.controls.node.cred_files import test_node_cred_files as cred_files
from pytest_k8ssec.facts.node import control_planes
from pytest_k8ssec.verdict import Judge, Verdict
from tests import snippets
from tests.cluster.harness import Place
from tests.snippets import Body, Document

_ADMIN = "/etc/kubernetes/admin.conf"
_PARTS = snippets.for_a_cluster()
PASTED = sorted({each.control for each in _PARTS})
"""Controls whose snippets make up a cluster."""


@pytest.fixture(scope="module")
def namespace(cluster: KindCluster) -> Iterator[str]:
    """A namespace of ours."""
    name = f"k8ssec-snippets-{secrets.token_hex(3)}"
    with cluster.api.applied({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}):
        yield name


def apply(cluster: KindCluster, namespace: str, manifest: Body) -> tuple[int, str]:
    """What ``kubectl apply --server-side --dry-run=server -n NAMESPACE`` would be answered."""
    whole = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
    path = cluster.api.path_of(whole)
    if "/namespaces/" not in path:  # of the whole cluster
        del whole["metadata"]["namespace"]
    answer = cluster.api.request(
        "PATCH",
        path,
        body=whole,
        params={"dryRun": "All", "fieldManager": "k8ssec-snippets", "fieldValidation": "Strict"},
        headers={"Content-Type": "application/apply-patch+yaml"},
    )
    return answer.status, answer.message


@pytest.mark.parametrize(
    "one", snippets.manifests(), ids=[f"{each.control}-{each.body['kind']}" for each in snippets.manifests()]
)
def test_an_object_is_taken(cluster: KindCluster, namespace: str, one: Document) -> None:
    """As it stands, without anything to be filled in."""
    status, message = apply(cluster, namespace, one.body)
    assert status in (200, 201), message


@pytest.mark.parametrize("control", snippets.texts("python"))
def test_what_a_program_declares_is_taken(cluster: KindCluster, namespace: str, control: str) -> None:
    """The objects that Pulumi would send."""
    for manifest in snippets.declared(control):
        status, message = apply(cluster, namespace, snippets.revealed(manifest))
        assert status in (200, 201), message


def test_an_object_with_a_mistake_is_refused(cluster: KindCluster, namespace: str) -> None:
    """The check can fail: by a field that there is not, and by an expression that can't be compiled."""
    (policy,) = (each.body for each in snippets.manifests() if each.body["kind"] == "ValidatingAdmissionPolicy")
    misspelt = {**policy, "spec": {**policy["spec"], "failurePolcy": "Fail"}}
    broken = {**policy, "spec": {**policy["spec"], "validations": [{"expression": "variables.image.all("}]}}
    for manifest, words in ((misspelt, "failurePolcy"), (broken, "compilation failed")):
        status, message = apply(cluster, namespace, manifest)
        assert status >= 400
        assert words in message


def test_files_that_anybody_may_read_are_shut(cluster: KindCluster, nodes: Mapping[str, Any]) -> None:
    """Breached by one file; held once the commands were run on each node."""
    (node, *_) = control_planes(cluster)
    cluster.on_node(node, ["chmod", "644", _ADMIN])
    try:
        assert Verdict.BREACHED is _verdict(cluster, nodes)
        for each in cluster.nodes:
            cluster.on_node(each, ["sh", "-e"], stdin=snippets.texts("sh")["node-cred-files"].encode())
        assert Verdict.HELD is _verdict(cluster, nodes)
    finally:
        cluster.on_node(node, ["chmod", "600", _ADMIN])


def _verdict(cluster: KindCluster, nodes: Mapping[str, Any]) -> Verdict:
    judge = Judge()
    cred_files(judge, cluster, nodes)
    return judge.verdict()[0]


def test_a_cluster_made_of_snippets_holds(place: Place) -> None:
    """A default kind cluster and what the controls' pages say, nothing else: each of those controls is held."""
    place.file(snippets.KIND, yaml.safe_dump(snippets.kind_configuration(_of(snippets.KIND))))
    steps = [step for part in _of(snippets.AFTER) for step in part.body["steps"]]
    place.file(snippets.AFTER, yaml.safe_dump({"steps": sorted(set(steps))}))
    for part in _PARTS:
        if part.file not in (snippets.KIND, snippets.AFTER):
            place.file(part.file, part.text)  # of two audit policies the later one, which says more
    done = place.pytest(
        "--pyargs",
        "pytest_k8ssec.controls",
        f"--k8ssec-kind-config={place.project / snippets.KIND}",
        "--k8ssec-report=report",
        "-k",
        " or ".join(PASTED),
    )
    assert 0 == done.end(600), done.output
    report = json.loads((place.project / "report" / "report.json").read_text())
    assert dict.fromkeys(PASTED, "held") == {entry["control"]: entry["verdict"] for entry in report["results"]}


def _of(file: str) -> list[Document]:
    return [part for part in _PARTS if part.file == file]


def test_each_control_is_proven_by_one_of_these() -> None:
    """No snippet is left out."""
    elsewhere = {"sup-pull-auth"}  # tests/cluster/test_pull_auth.py: it needs a cluster that pulls every image
    objects = {each.control for each in snippets.manifests()}
    proven = {*PASTED, *objects, *snippets.texts("python"), *snippets.texts("sh"), *elsewhere}
    assert {each.id for each in packaged_controls()} == proven
