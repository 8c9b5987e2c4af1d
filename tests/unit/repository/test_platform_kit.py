"""The example platforms as programs: what they declare in each posture, found by running them without an engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.declared import KEY, declared

_TEAMS = {"web", "payments", "batch"}


def _all(stack: str, kind: str) -> list[dict[str, Any]]:
    """The inputs of all objects of one kind."""
    return [one["inputs"] for one in declared(stack) if one["type"].endswith(f":{kind}")]


def _pods(stack: str) -> list[dict[str, Any]]:
    """The pod specs of all workloads."""
    workloads = _all(stack, "Deployment") + _all(stack, "StatefulSet")
    return [one["spec"]["template"]["spec"] for one in workloads]


def test_both_stacks_run_the_same_workloads() -> None:
    """What differs between the stacks is their posture, not who runs what and answers where."""
    hardened, insecure = (
        {pod["serviceAccountName"]: pod["containers"][0]["ports"] for pod in _pods(stack)}
        for stack in ("hardened", "insecure")
    )
    assert set(hardened) == {"storefront", "api", "ledger", "reporter"}
    assert hardened == insecure
    services = [sorted(one["metadata"]["name"] for one in _all(stack, "Service")) for stack in ("hardened", "insecure")]
    assert services == [["api", "ledger", "storefront"]] * 2


def test_every_hardened_namespace_enforces_restricted() -> None:
    """Each team's namespace enforces, audits and warns at the strictest Pod Security level."""
    namespaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in _all("hardened", "Namespace")}
    assert set(namespaces) == _TEAMS
    for labels in namespaces.values():
        assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}


def test_only_the_insecure_shop_opens_a_port_on_every_node() -> None:
    """A hardened platform leaves the way in to an ingress controller."""
    open_to_all = {
        stack: [one["metadata"]["name"] for one in _all(stack, "Service") if one["spec"].get("type") == "NodePort"]
        for stack in ("hardened", "insecure")
    }
    assert open_to_all == {"hardened": [], "insecure": ["storefront"]}


def test_every_hardened_namespace_denies_all_traffic_both_ways() -> None:
    """Each team has a policy that selects all pods, names both directions and allows nothing."""
    denying = [
        one["metadata"]["namespace"]
        for one in _all("hardened", "NetworkPolicy")
        if one["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ]
    assert sorted(denying) == sorted(_TEAMS)


def test_every_hardened_container_meets_restricted() -> None:
    """No root, no capability, no escalation, a seccomp profile, and a root file system that is read-only."""
    for pod in _pods("hardened"):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_only_the_declared_client_gets_a_token_when_hardened() -> None:
    """No account gives a token by itself, and the one pod that asks for one is declared with a reason."""
    accounts = _all("hardened", "ServiceAccount")
    assert not any(one["automountServiceAccountToken"] for one in accounts)
    patched = {
        one["metadata"]["namespace"]: one["automountServiceAccountToken"]
        for one in _all("hardened", "ServiceAccountPatch")
        if one["metadata"]["name"] == "default"
    }
    assert patched == dict.fromkeys(_TEAMS, False)
    asking = {pod["serviceAccountName"] for pod in _pods("hardened") if pod["automountServiceAccountToken"]}
    declared = {
        one["metadata"]["name"]
        for one in accounts
        if one["metadata"].get("annotations", {}).get("k8ssec.dev/api-client")
    }
    assert asking == declared == {"reporter"}


def test_the_hardened_reporter_may_read_one_object() -> None:
    """The only grant of the platform is one verb on one named ConfigMap, and nothing is bound cluster-wide."""
    (role,) = _all("hardened", "Role")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["report-settings"], "verbs": ["get"]}
    ]
    assert _all("hardened", "ClusterRoleBinding") == []


def test_the_reporter_reaches_the_api_server_s_addresses_only() -> None:
    """Egress to the Kubernetes API names the servers' own addresses and port."""
    (policy,) = [one for one in _all("hardened", "NetworkPolicy") if one["metadata"]["name"] == "reporter"]
    assert {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 6443}]} in policy["spec"]["egress"]


def test_the_payments_key_is_in_a_secret_only_when_hardened() -> None:
    """The key stands in a Secret that is mounted, and in no pod template; in the insecure stack it is the reverse."""
    assert [one["stringData"] for one in _all("hardened", "Secret")] == [{"key": KEY}]
    assert KEY not in json.dumps(_pods("hardened"))
    assert _all("insecure", "Secret") == []
    assert KEY in json.dumps(_pods("insecure"))


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("registry.example:5000/team/python:3.13", "registry.example:5000/team/python"),
        ("docker.io/library/python@sha256:abc", "docker.io/library/python"),
        ("python", "python"),
    ],
)
def test_the_image_s_own_repository_is_allowed_by_default(image: str, allowed: str) -> None:
    """Tag, digest and a registry's port are told apart where the allowed registries are derived from the image."""
    (policy,) = [one for one in declared("hardened", image) if one["type"].endswith(":ValidatingAdmissionPolicy")]
    (validation,) = policy["inputs"]["spec"]["validations"]
    assert json.dumps([allowed, "registry.k8s.io"]) in validation["expression"]


def test_the_insecure_stack_has_none_of_the_rails() -> None:
    """No policy of any sort, tokens for everybody, an administrator and a look for anybody."""
    for kind in (
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "ValidatingAdmissionPolicy",
        "ServiceAccountPatch",
    ):
        assert _all("insecure", kind) == []
    assert all(one["automountServiceAccountToken"] for one in _all("insecure", "ServiceAccount"))
    granted = {one["roleRef"]["name"] for one in _all("insecure", "ClusterRoleBinding")}
    assert granted == {"cluster-admin", "view"}
    labels = [one["metadata"]["labels"] for one in _all("insecure", "Namespace")]
    assert not any("pod-security" in key for one in labels for key in one)
