"""A twin's manifest: all that decides what a process may do, and nothing that keeps the twin from starting."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_k8ssec.pods.manifests import PodSpec, probe_pod, user_is_guessed

AFFINITY = {
    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}},
    "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []},
}


def twin(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """The spec of a twin of a workload of this container and spec."""
    template = {"spec": {"containers": [{"name": "shop", **(container or {})}], **spec}}
    made: dict[str, Any] = probe_pod(PodSpec("web", template=template), "t", "probe", "n", "run", None)["spec"]
    return made


def test_on_the_node_of_a_live_pod_nothing_else_chooses() -> None:
    """No affinity, no spread, no selector, and whatever taints the node has."""
    made = twin(
        nodeName="n1",
        affinity=AFFINITY,
        topologySpreadConstraints=[{"maxSkew": 1}],
        nodeSelector={"a": "b"},
        tolerations=[],
    )
    assert "n1" == made["nodeName"]
    assert [{"operator": "Exists"}] == made["tolerations"]
    assert not {"affinity", "topologySpreadConstraints", "nodeSelector"} & made.keys()


def test_without_one_it_stands_where_such_a_pod_might() -> None:
    """What keeps pods of a workload apart does not keep its twin away; what they need of a node it needs too."""
    made = twin(
        affinity=AFFINITY,
        topologySpreadConstraints=[{"maxSkew": 1}],
        nodeSelector={"a": "b"},
        tolerations=[{"key": "x"}],
    )
    assert {"nodeAffinity": AFFINITY["nodeAffinity"]} == made["affinity"]
    assert ({"a": "b"}, [{"key": "x"}]) == (made["nodeSelector"], made["tolerations"])
    assert "topologySpreadConstraints" not in made
    assert "affinity" not in twin(affinity={"podAffinity": {}})


@pytest.mark.parametrize(
    ("pod", "container", "expected"),
    [
        ({"runAsNonRoot": True}, {}, 65532),
        ({}, {"runAsNonRoot": True}, 65532),
        ({"runAsNonRoot": True, "runAsUser": 7}, {}, None),
        ({"runAsNonRoot": True}, {"runAsUser": 7}, 7),
        ({"runAsNonRoot": True}, {"runAsNonRoot": False}, None),
        ({}, {}, None),
    ],
)
def test_where_root_is_forbidden_it_is_somebody(pod: Any, container: Any, expected: int | None) -> None:
    """The probe's image is root's: the kubelet would not start it. Who is named stays."""
    (made,) = twin({"securityContext": container}, securityContext=pod)["containers"]
    assert expected == made["securityContext"].get("runAsUser")


def test_variables_that_name_a_mount_are_carried_over_and_no_others() -> None:
    """And those that they are made of, in their order; a password is none of them."""
    env = [
        {"name": "BASE", "value": "logs"},
        {"name": "PASSWORD", "value": "hush"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "PLACE", "value": "$(BASE)/$(POD)"},
    ]
    mounts = [{"name": "v", "mountPath": "/v", "subPathExpr": "$(PLACE)/x"}]
    (made,) = twin({"env": env, "envFrom": [{"secretRef": {"name": "s"}}], "volumeMounts": mounts})["containers"]
    assert ["BASE", "POD", "PLACE"] == [each["name"] for each in made["env"]]
    assert "envFrom" not in made
    (other,) = twin({"env": env, "volumeMounts": [{"name": "v", "mountPath": "/v"}]})["containers"]
    assert "env" not in other


def test_a_mount_s_variable_may_come_from_a_whole_config_map() -> None:
    """Then that comes along."""
    mounts = [{"name": "v", "mountPath": "/v", "subPathExpr": "$(TENANT)"}]
    source = [{"configMapRef": {"name": "tenant"}}]
    (made,) = twin({"envFrom": source, "volumeMounts": mounts})["containers"]
    assert source == made["envFrom"]


def test_what_names_a_container_names_the_twin_s_own() -> None:
    """In a volume of the downward API, in a projected one, and in a variable."""
    item = {"path": "cpu", "resourceFieldRef": {"containerName": "sidecar", "resource": "limits.cpu"}}
    volumes = [
        {"name": "a", "downwardAPI": {"items": [item, {"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"name": "b", "projected": {"sources": [{"secret": {"name": "s"}}, {"downwardAPI": {"items": [item]}}]}},
    ]
    env = [{"name": "CPU", "valueFrom": {"resourceFieldRef": {"containerName": "shop", "resource": "limits.cpu"}}}]
    mounts = [{"name": "a", "mountPath": "/a", "subPathExpr": "$(CPU)"}]
    made = twin({"env": env, "volumeMounts": mounts}, volumes=volumes)
    (container,) = made["containers"]
    first, second = made["volumes"]
    told = [
        first["downwardAPI"]["items"][0],
        second["projected"]["sources"][1]["downwardAPI"]["items"][0],
        container["env"][0]["valueFrom"],
    ]
    assert {container["name"]} == {each["resourceFieldRef"]["containerName"] for each in told}
    assert "sidecar" == item["resourceFieldRef"]["containerName"], "the workload's own is as it was"  # type: ignore[index]


@pytest.mark.parametrize(
    ("pod", "container", "guessed"),
    [
        ({}, {}, True),
        ({"runAsNonRoot": True}, {}, True),
        ({"runAsUser": 1000}, {}, False),
        ({}, {"runAsUser": 0}, False),
    ],
)
def test_a_user_is_guessed_where_nobody_tells_it(pod: Any, container: Any, guessed: bool) -> None:
    """Be it ours in place of whoever is not root, or that of the probe's image."""
    spec = {"securityContext": pod, "containers": [{"name": "c", "securityContext": container}]}
    assert guessed is user_is_guessed({"spec": spec})


def test_a_bare_pod_listens_where_it_is_asked_to() -> None:
    """Also on root's ports, without being root; declared are those that have a name. All listen once the last one does."""
    ports = ((443, "", ""), (5432, "", ""), (8981, "UDP", "db"))
    made = probe_pod(PodSpec("web", ports=ports), "c", "probe", "n", "run", None)["spec"]
    (container,) = made["containers"]
    assert ["n", "443", "5432", "8981", "8980"] == container["command"][3:]
    assert [{"containerPort": 8981, "protocol": "UDP", "name": "db"}] == container["ports"]
    assert [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}] == made["securityContext"]["sysctls"]
    (plain,) = probe_pod(PodSpec("web", ports=((8980, "", ""),)), "c", "probe", "n", "run", None)["spec"]["containers"]
    assert (["n", "8980"], False) == (plain["command"][3:], "ports" in plain)
    assert PodSpec("web").key() != PodSpec("web", ports=ports).key()
