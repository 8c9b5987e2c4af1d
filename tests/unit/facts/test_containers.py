"""What workload controls look at: each container, what the kernel says of it, and what its pods mount."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.remote import agent
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.controls.wl.netraw import _gains
from pytest_k8ssec.controls.wl.privilege import _written
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.facts.capabilities import names
from pytest_k8ssec.facts.containers import PodTemplate, container_templates, live_template, pod_templates
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import by_container
from pytest_k8ssec.probes.planted_files import host_mounts
from pytest_k8ssec.stack import ObjectOrigin, Workload
from tests.unit.fakes import evidence

_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {
        "volumes": [{"name": "host", "hostPath": {"path": "/etc/hosts"}}, {"name": "own", "emptyDir": {}}],
        "initContainers": [{"name": "set-up", "securityContext": {"privileged": True}}],
        "containers": [
            {"name": "main", "volumeMounts": [{"name": "own", "mountPath": "/own"}]},
            {"name": "sidecar", "volumeMounts": [{"name": "host", "mountPath": "/hosts"}]},
        ],
    },
}


def test_each_container_is_looked_at() -> None:
    """Sidecars and init containers too: the pod is as weak as the weakest of them."""
    found = by_container(_TEMPLATE)
    assert ["main", "sidecar", "set-up"] == list(found)
    assert {"privileged": True} == found["set-up"]["spec"]["containers"][0]["securityContext"]
    assert _TEMPLATE is found["main"], "so that its twin is the one that others use"


def test_what_a_container_mounts_of_its_node() -> None:
    """Only what that container itself mounts."""
    found = by_container(_TEMPLATE)
    assert ({}, {"/hosts": "/etc/hosts"}) == (host_mounts(found["main"], {}), host_mounts(found["sidecar"], {}))


@dataclass
class Pods:
    """An API server that has these pods."""

    pods: list[dict[str, Any]]
    nodes: tuple[Node, ...] = ()
    mounts_tokens: bool = False
    """Whether the namespace's service accounts have theirs mounted."""
    runtime: bytes = b""
    """What a node's container runtime tells of users."""

    @property
    def api(self) -> Pods:
        """Itself."""
        return self

    def request(self, _method: str, _path: str) -> Response:
        """A service account."""
        return Response(200, {"automountServiceAccountToken": self.mounts_tokens}, 1.0)

    def on_node(self, _node: Node, argv: Sequence[str]) -> Completed:
        """What the runtime tells."""
        return Completed(tuple(argv), 0, self.runtime, b"")

    def list(self, _path: str, **_: str) -> list[dict[str, Any]]:
        """All of them."""
        return self.pods


def _pod(name: str, phase: str = "Running", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": phase}, "spec": {**_TEMPLATE["spec"], **more}}


def test_what_only_a_workload_s_pods_have_is_looked_at_too() -> None:
    """Once each: what was injected, what a debugger added, and what is other than the template says by now."""
    free = {"privileged": True}
    mesh = {"name": "mesh", "securityContext": free, "volumeMounts": [{"name": "run", "mountPath": "/run"}]}
    host = {"name": "run", "hostPath": {"path": "/run"}}
    injected: dict[str, Any] = {
        "containers": [*_TEMPLATE["spec"]["containers"], mesh],
        "volumes": [*_TEMPLATE["spec"]["volumes"], host],
    }
    pods = [
        _pod("x-1", **injected, ephemeralContainers=[{"name": "debug"}]),
        _pod("x-2", **injected),
        _pod("x-3", containers=[{"name": "main", "securityContext": free}]),
        _pod("x-4", "Succeeded", containers=[{"name": "over"}]),
    ]
    workload = Workload("Deployment", "web", "x", {}, {"matchLabels": {"app": "x"}}, _TEMPLATE)
    found = container_templates(cast("Cluster", Pods(pods)), workload)
    assert ["main", "sidecar", "set-up", "mesh of pod x-1", "debug of pod x-1", "main of pod x-3"] == list(found)
    assert free == found["main of pod x-3"]["spec"]["containers"][0]["securityContext"]
    assert {"/run": "/run"} == host_mounts(found["mesh of pod x-1"], {})
    assert {} == host_mounts(found["main of pod x-3"], {})


@pytest.mark.parametrize("origin", list(ObjectOrigin))
def test_a_bare_pod_that_an_operator_removed_is_judged_by_its_template(origin: ObjectOrigin) -> None:
    """It was there a moment ago; one that the stack declares, and that is not there, is an error."""

    class Gone(Pods):
        def request(self, _method: str, path: str) -> Response:
            return Response(404 if "/pods/" in path else 200, {}, 1.0)

    pod, cluster = Workload("Pod", "web", "x", {}, {}, _TEMPLATE, origin=origin), cast("Cluster", Gone([]))
    if origin is ObjectOrigin.DECLARED:
        with pytest.raises(ClusterError, match="pod web/x: HTTP 404"):
            container_templates(cluster, pod)
    else:
        assert ["main", "sidecar", "set-up"] == list(container_templates(cluster, pod))


def _deployed(*pods: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The pod templates of the containers of a workload that has these pods."""
    workload = Workload("Deployment", "web", "x", {}, {"matchLabels": {"app": "x"}}, _TEMPLATE)
    return dict(container_templates(cast("Cluster", Pods(list(pods), **more)), workload))


def _on(node: str, name: str, **more: Any) -> dict[str, Any]:
    """A live pod on a node."""
    made = _pod(name, nodeName=node, **more)
    made["metadata"] |= {
        "uid": name,
        "labels": {"app": "x", "statefulset.kubernetes.io/pod-name": name, "track": "old"},
    }
    return made


def test_a_live_pod_is_judged_by_its_own_spec_as_a_whole() -> None:
    """Not by its container within the template's pod-level fields: those may be clean by now, and its own are not.

    So it is where a DaemonSet is updated on deletion only, where a rollout waits, and where admission changed a pod.
    """
    for field in ({"hostPID": True}, {"hostNetwork": True}, {"securityContext": {"runAsUser": 0}}, {"hostIPC": True},
                  {"hostUsers": False}, {"serviceAccountName": "other"}, {"shareProcessNamespace": True}):  # fmt: skip
        found = _deployed(_on("n1", "x-1", **field))
        assert ["main", "sidecar", "set-up", *(f"{one} of pod x-1" for one in ("main", "sidecar", "set-up"))] == list(
            found
        )
        live = found["main of pod x-1"]
        assert field.items() <= live["spec"].items()
        assert {"app": "x", "track": "old", "statefulset.kubernetes.io/pod-name": "x-1"} == live["metadata"]["labels"]
        assert "n1" == live["spec"]["nodeName"]
        assert _TEMPLATE is found["main"], "what the next pod will be counts too"


def test_a_live_pod_that_is_like_its_template_is_judged_in_its_place() -> None:
    """Once, on its node; replicas that are alike need no twin of their own."""
    found = _deployed(_on("n1", "x-1"), _on("n2", "x-2"))
    assert ["main", "sidecar", "set-up"] == list(found)
    assert {"n1"} == {each["spec"]["nodeName"] for each in found.values()}


def test_what_is_mounted_decides_and_not_what_a_volume_is_called() -> None:
    """A claim of a StatefulSet's replica is the template's; another folder of the node is not."""
    mount = {"name": "own", "mountPath": "/own"}
    main = {"name": "main", "volumeMounts": [mount]}
    host = [{"name": "own", "hostPath": {"path": "/etc"}}]
    assert "main of pod x-1" in _deployed(_on("n1", "x-1", containers=[main], volumes=host))
    renamed = {"name": "main", "volumeMounts": [{**mount, "name": "other"}]}
    assert "main of pod x-1" not in _deployed(
        _on("n1", "x-1", containers=[renamed], volumes=[{"name": "other", "emptyDir": {}}])
    )


TOKEN = {"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}


def test_a_live_pod_has_a_token_if_it_mounts_one() -> None:
    """Whatever its service account says by now; the next pod will have what that says."""
    main = {"name": "main", "volumeMounts": [*_TEMPLATE["spec"]["containers"][0]["volumeMounts"], TOKEN]}
    with_token = _on("n1", "x-1", containers=[main])
    assert "main of pod x-1" in _deployed(with_token, mounts_tokens=False)
    assert "main of pod x-1" not in _deployed(with_token, mounts_tokens=True)
    assert "main of pod x-2" in _deployed(_on("n1", "x-2"), mounts_tokens=True)
    live = _deployed(with_token)["main of pod x-1"]["spec"]
    assert live["automountServiceAccountToken"] is False, "its mounts say all"


def test_a_pod_that_ended_is_not_live_and_still_tells_its_user() -> None:
    """As that of a Job."""
    over = {**_pod("x-1", "Succeeded", hostPID=True)}
    over["metadata"]["uid"] = "x-1"
    over["status"]["containerStatuses"] = [{"name": "main", "user": {"linux": {"uid": 7, "gid": 8}}}]
    found = _deployed(over)
    assert ["main", "sidecar", "set-up"] == list(found)
    assert {"runAsUser": 7, "runAsGroup": 8} == found["main"]["spec"]["containers"][0]["securityContext"]


@pytest.mark.parametrize(
    ("pod", "container", "expected"),
    [
        ({}, {}, {"runAsUser": 10001, "runAsGroup": 10002}),
        ({}, {"runAsGroup": 5}, {"runAsUser": 10001, "runAsGroup": 5}),
        ({"runAsGroup": 5}, {}, {"runAsUser": 10001}),
        ({"runAsNonRoot": True}, {}, {"runAsUser": 10001, "runAsGroup": 10002}),
        ({"runAsUser": 0, "runAsGroup": 0}, {}, None),
        ({"runAsUser": 0}, {}, {"runAsGroup": 10002}),
        ({}, {"runAsUser": 0}, {"runAsUser": 0, "runAsGroup": 10002}),
        ({}, {"runAsUser": 0, "runAsGroup": 5}, {"runAsUser": 0, "runAsGroup": 5}),
    ],
)
@pytest.mark.parametrize("told_by", ["status", "runtime"])
def test_a_twin_runs_as_whom_its_container_was_started(pod: Any, container: Any, expected: Any, told_by: str) -> None:
    """By the API server, or else the node's runtime; what the spec says itself stays."""
    live = _on("n1", "x-1", containers=[{"name": "main", "securityContext": container}], securityContext=pod)
    status: dict[str, Any] = {"name": "main", "containerID": "containerd://c1"}
    if told_by == "status":
        status["user"] = {"linux": {"uid": 10001, "gid": 10002}}
    live["status"]["containerStatuses"] = [status]
    node = Node("n1", "10.0.0.1", control_plane=False, container="n1")
    found = _deployed(live, nodes=(node,), runtime=b"c1 10001 10002\n")
    main = next(each for name, each in found.items() if name.startswith("main of"))
    assert (expected or {}) == (main["spec"]["containers"][0].get("securityContext") or {})


def test_a_user_that_nobody_tells_is_unknown() -> None:
    """A node that can't be entered, a runtime that tells nothing: no user is made up."""
    live = _on("n1", "x-1", containers=[{"name": "main", "volumeMounts": []}])
    live["status"]["containerStatuses"] = [{"name": "main", "containerID": "containerd://c1"}]
    shut, open_ = (Node("n1", "10.0.0.1", control_plane=False, container=box) for box in ("", "n1"))
    for node in (shut, open_):
        found = _deployed(live, nodes=(node,), runtime=b"c1 <no value>\n")
        assert "securityContext" not in found["main of pod x-1"]["spec"]["containers"][0]


def test_replicas_that_were_started_as_somebody_else_are_both_judged() -> None:
    """As in the middle of a rollout of an image."""
    pods = [_on("n1", name) for name in ("x-1", "x-2")]
    for pod, uid in zip(pods, (0, 7), strict=True):
        pod["status"]["containerStatuses"] = [{"name": "main", "user": {"linux": {"uid": uid, "gid": 0}}}]
    found = _deployed(*pods)
    assert ["main", "sidecar", "set-up", "main of pod x-2"] == list(found)
    assert [0, 7] == [
        found[one]["spec"]["containers"][0]["securityContext"]["runAsUser"] for one in ("main", "main of pod x-2")
    ]


def _started(name: str, image: str, uid: int, created: str, phase: str = "Succeeded") -> dict[str, Any]:
    """A pod of which the API server tells as whom its container was started."""
    made = _on("n1", name, containers=[{"name": "main", "image": image}])
    made["metadata"]["creationTimestamp"] = created
    made["status"] = {
        "phase": phase,
        "containerStatuses": [{"name": "main", "user": {"linux": {"uid": uid, "gid": uid}}}],
    }
    return made


def test_the_next_pod_starts_as_the_newest_one_of_its_image_did() -> None:
    """Another image has another user: what is gone tells nothing of what comes."""
    old, new = _started("a", "app:1", 10001, "2026-01-01"), _started("b", "app:2", 0, "2026-02-01")
    newer = _started("c", "app:2", 7, "2026-03-01")
    template = {"metadata": {}, "spec": {"containers": [{"name": "main", "image": "app:2"}]}}

    def uid(*pods: dict[str, Any]) -> Any:
        workload = Workload("CronJob", "web", "x", {}, {"matchLabels": {"app": "x"}}, template)
        found = container_templates(cast("Cluster", Pods(list(pods))), replace(workload, kind="Job"))
        return found["main"]["spec"]["containers"][0].get("securityContext", {}).get("runAsUser")

    assert (0, 0, 7, None) == (uid(old, new), uid(new, old), uid(new, newer, old), uid(old))


def test_what_two_containers_differ_in_is_seen() -> None:
    """Their images, where these say the user; Secrets in variables; and what lies where a token would be."""
    main = {"name": "main", "image": "app:1"}
    path = "/var/run/secrets/kubernetes.io/serviceaccount"
    volumes: tuple[dict[str, Any], ...] = ({"emptyDir": {}}, {"secret": {"secretName": "of-another"}})
    masked = [
        {
            "containers": [{**main, "volumeMounts": [{"name": "here", "mountPath": path}]}],
            "volumes": [{"name": "here", **one}],
        }
        for one in volumes
    ]
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "admin", "key": "k"}}}
    for one, other in (
        ({"containers": [main]}, {"containers": [{**main, "image": "app:2"}]}),
        ({"containers": [main]}, {"containers": [{**main, "env": [variable]}]}),
        ({"containers": [main]}, {"containers": [{**main, "envFrom": [{"secretRef": {"name": "admin"}}]}]}),
        ({"containers": [main]}, masked[1]),
        (masked[0], masked[1]),
    ):
        found = _deployed(_on("n1", "a", **one), _on("n1", "b", **other))
        assert {"main of pod a", "main of pod b"} <= set(found)
    user = {"runAsUser": 5, "runAsGroup": 5}
    pods = [_on("n1", name, containers=[{**main, "image": name, "securityContext": user}]) for name in ("a", "b")]
    assert ["main of pod a"] == [name for name in _deployed(*pods) if name.startswith("main of")]


def test_a_pod_that_is_being_removed_counts_until_its_last_container_ends() -> None:
    """Somebody may be in it for an hour."""
    leaving = _on("n1", "a", hostPID=True)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01"
    ended, running = {"name": "main", "state": {"terminated": {}}}, {"name": "sidecar", "state": {"running": {}}}
    leaving["status"] = {"phase": "Running", "containerStatuses": [ended, running]}
    assert "sidecar of pod a" in _deployed(leaving)
    leaving["status"]["containerStatuses"] = [ended]
    assert "sidecar of pod a" not in _deployed(leaving)


@pytest.mark.parametrize(
    ("owner", "own"),
    [
        ({"kind": "ReplicaSet", "name": "x-5f"}, True),
        ({"kind": "ReplicaSet", "name": "adopted"}, True),
        ({"kind": "StatefulSet", "name": "x"}, False),
        ({"kind": "Job", "name": "x-1"}, False),
        (None, True),
    ],
)
def test_a_pod_that_another_controls_is_not_the_workload_s(owner: Any, own: bool) -> None:
    """Selectors may overlap. A ReplicaSet of whatever name whose owner nobody tells is not left out."""
    pod = _on("n1", "a", hostPID=True)
    if owner:
        pod["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    assert ("main of pod a" in _deployed(pod)) is own


def test_variables_of_a_live_pod_have_its_values() -> None:
    """A mount that is named by them is the live pod's own folder: a twin makes none."""
    env = [
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    live = _on("n1", "x-1", containers=[{"name": "main", "env": env}])
    live["status"]["podIP"] = "10.0.0.9"
    (main,) = _deployed(live)["main of pod x-1"]["spec"]["containers"]
    assert [{"name": "POD", "value": "x-1"}, {"name": "IP", "value": "10.0.0.9"}, env[2]] == main["env"]


def test_where_nodes_matter_each_of_them_counts() -> None:
    """And what stands elsewhere does not."""
    workload = Workload("DaemonSet", "web", "x", {}, {"matchLabels": {"app": "x"}}, _TEMPLATE)
    pods = [_on(node, f"x-{node}", containers=_TEMPLATE["spec"]["containers"][:1]) for node in ("n3", "n2", "n1")]
    found = container_templates(cast("Cluster", Pods(pods)), workload, nodes=["n1", "n3"])
    assert {"main": "n1", "main of pod x-n3": "n3"} == {
        name: each["spec"].get("nodeName") for name, each in found.items() if name.startswith("main")
    }


def test_the_network_sees_labels_account_and_network() -> None:
    """Of live pods: each that differs has a twin, and where there is none the template has."""
    workload = Workload("Deployment", "web", "x", {}, {"matchLabels": {"app": "x"}}, _TEMPLATE)
    first, same, other, host = (_on("n1", name) for name in ("x-1", "x-2", "x-3", "x-4"))
    other["metadata"]["labels"]["track"] = "new"
    first["metadata"]["labels"]["pod-template-hash"] = "2"
    host["spec"]["hostNetwork"] = True
    found = pod_templates(cast("Cluster", Pods([first, same, other, host])), workload)
    assert ["", "pod x-3", "pod x-4"] == list(found)
    assert "new" == found["pod x-3"].template["metadata"]["labels"]["track"]
    assert {"": PodTemplate(_TEMPLATE)} == pod_templates(cast("Cluster", Pods([])), workload)
    assert found[""].template == live_template(cast("Cluster", Pods([first])), workload)


def test_equal_pods_are_told_with_the_nodes_on_which_they_stand() -> None:
    """Each node once, and of other pods others."""
    workload = Workload("Deployment", "web", "x", {}, {"matchLabels": {"app": "x"}}, _TEMPLATE)
    pods = [_on(node, f"x-{at}") for at, node in enumerate(("n2", "n1", "n2", "n3"))]
    pods[-1]["metadata"]["labels"]["track"] = "new"
    found = pod_templates(cast("Cluster", Pods(pods)), workload)
    assert [("n1", "n2"), ("n3",)] == [each.nodes for each in found.values()]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0, []), (1 << 13, ["NET_RAW"]), (1 << 0 | 1 << 21, ["CHOWN", "SYS_ADMIN"]), (1 << 50, ["bit 50"])],
)
def test_names_of_capabilities(bits: int, expected: list[str]) -> None:
    """By their bits; one that is not known yet still counts."""
    assert expected == names(bits)


@pytest.mark.parametrize(
    ("outcome", "words", "expected"),
    [
        (Outcome.DONE, "created and removed", True),
        (Outcome.DENIED, "EROFS", False),
        (Outcome.DENIED, "EACCES", None),
        (Outcome.ERROR, "OSError", None),
    ],
)
def test_only_erofs_proves_a_read_only_root(outcome: Outcome, words: str, expected: bool | None) -> None:
    """EACCES says who the process is, and nothing of the file system."""
    assert expected is _written(evidence(outcome, detail=words))


def test_a_file_of_the_node_is_looked_for_behind_every_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the folders above it is mounted, and wherever."""
    monkeypatch.setattr(agent, "mounts", lambda: ["/mnt"])
    found = set(agent.seen_through_mounts("/var/log/.k8ssec-1"))
    assert {"/mnt/var/log/.k8ssec-1", "/mnt/log/.k8ssec-1", "/mnt/.k8ssec-1"} <= found
    assert {"/var/log/.k8ssec-1", "/proc/1/root/var/log/.k8ssec-1"} <= found


@pytest.mark.parametrize(
    ("bounding", "no_new_privileges", "expected"),
    [(1 << 13, False, True), (1 << 13, True, False), (0, False, False), (1 << 12, False, False)],
)
def test_a_program_gains_net_raw_only_within_bounds(bounding: int, no_new_privileges: bool, expected: bool) -> None:
    """Whoever is not root, and is told EPERM, starts a setuid ping: unless the kernel gives nothing for that."""
    facts = {"uid": 65532, "effective": 0, "bounding": bounding, "no_new_privileges": no_new_privileges}
    assert expected is _gains(evidence(Outcome.DONE, facts=facts))
    assert _gains(evidence(Outcome.ERROR)) is None


def test_privileges_of_this_process() -> None:
    """The agent reads what the kernel says."""
    facts = agent.privileges({})["facts"]
    assert {"uid", "effective", "bounding", "no_new_privileges", "seccomp", "apparmor"} == set(facts)
    assert os.geteuid() == facts["uid"]
