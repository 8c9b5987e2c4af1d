"""The command ``k8ssec`` on a real docker daemon."""

from __future__ import annotations

import json
import secrets
import time

import pytest

from pytest_k8ssec.machine import docker
from tests.cluster.harness import Place, assert_nothing_left, everything

pytestmark = pytest.mark.usefixtures("untouched")

USES = """
def test_uses(cluster):
    assert not cluster.ours
    assert cluster.api.get("/version")["gitVersion"].startswith("v1.")
"""


def said(place: Place, *arguments: str, code: int = 0) -> str:
    """What ``k8ssec`` says, with that exit code and no traceback."""
    run = place.k8ssec(*arguments)
    assert code == run.end(), run.output
    assert "Traceback" not in run.output, run.output
    return run.output


def test_kept_cluster_stays_until_it_is_taken_down(place: Place) -> None:
    """What ``k8ssec up`` made survives a sweep, serves a pytest run, and goes with ``k8ssec down``."""
    place.thaws = True
    name = f"k8ssec-kept-{secrets.token_hex(4)}"
    up = said(place, "up", f"--kind-config={place.kind_config}", f"--name={name}")
    assert f"pytest --k8ssec-controls --k8ssec-cluster {name}" in up
    assert f"k8ssec down {name}" in up
    assert "exists already" in said(place, "up", f"--kind-config={place.kind_config}", f"--name={name}", code=1)
    assert "nothing to sweep" in said(place, "sweep")
    listed = said(place, "list")
    assert "kept" in listed
    assert f"{name}-control-plane" in listed
    assert [line for line in listed.splitlines() if line.strip().startswith("kubeconfig /")]
    test = place.pytest(str(place.file("test_uses.py", USES)), f"--k8ssec-cluster={name}")
    assert 0 == test.end(), test.output
    _assert_controls_leave_nothing(place, name)
    made = everything(place)
    assert f"{name}-control-plane" in place.containers()
    assert f"removed {name}-control-plane" in said(place, "down", name)
    assert "no run is recorded" in said(place, "list")
    assert_nothing_left(place, made)


def _assert_controls_leave_nothing(place: Place, name: str) -> None:
    """Two workers make namespaces, pods and cluster-wide rights on a cluster that stays, and take them away again."""
    run = place.pytest(
        "-n2",
        "--k8ssec-controls",
        "-k",
        "kubelet-anon or kubelet-authz or net-cni-enforces",
        f"--k8ssec-cluster={name}",
    )
    assert 0 == run.end(), run.output
    ask = "get namespaces,clusterroles,clusterrolebindings -o name --kubeconfig /etc/kubernetes/admin.conf"

    def ours() -> list[str]:
        answer = docker.docker("exec", f"{name}-control-plane", "kubectl", *ask.split())
        assert "namespace/kube-system" in answer.text
        return [line for line in answer.text.split() if "k8ssec-" in line]

    end = time.monotonic() + 60  # a namespace goes only when all in it has gone
    while ours() and time.monotonic() < end:
        time.sleep(0.5)  # each look is a process on the node
    assert [] == ours()


def test_down_leaves_what_others_made(place: Place, user_containers: list[str]) -> None:
    """A kind cluster of the user's, called as ours are, is not removed, by name or with all."""
    foreign = user_containers[1].removesuffix("-control-plane")
    assert f"cluster '{foreign}': was not made by k8ssec" in said(place, "down", foreign, code=1)
    assert "cluster 'there-is-none': does not exist" in said(place, "down", "there-is-none", code=1)
    assert "no cluster was kept" in said(place, "down", "--all")


def test_up_that_fails_leaves_nothing(place: Place) -> None:
    """Where kind refuses the configuration, ``up`` says why and the record is gone."""
    place.file("wrong.yaml", "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: boss}]\n")
    assert "kind config " in said(place, "up", "--kind-config=wrong.yaml", code=1)
    assert_nothing_left(place, [])


def test_doctor_finds_this_machine_fit(place: Place) -> None:
    """Where this suite runs, the doctor finds no error; each warning comes with what fixes it."""
    found = json.loads(said(place, "doctor", "--json"))
    assert found["fit"] is True
    assert {"docker client", "docker daemon", "kind", "pulumi", "node image", "probe image"} <= {
        finding["subject"] for finding in found["findings"]
    }
    assert [] == [finding for finding in found["findings"] if finding["level"] != "ok" and not finding["fix"]]
    assert "tests can run here" in said(place, "doctor")
