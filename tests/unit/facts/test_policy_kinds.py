"""Which policies of other kinds a cluster has: found by discovery, and told where they are not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.facts.policies.kinds import OtherPolicies, other_policies

ADMIN = "policy.networking.k8s.io"
WHOLE: dict[str, Any] = {"metadata": {"name": "a"}, "spec": {"priority": 1, "subject": {"namespaces": {}}}}


@dataclass
class Server:
    """An API server: groups, each with versions, each with kinds, each with objects."""

    groups: Mapping[str, Mapping[str, Mapping[str, Sequence[dict[str, Any]]]]]
    broken: str = ""
    """A path that it does not answer."""
    asked: list[str] = field(default_factory=list)

    def get(self, path: str) -> dict[str, Any]:
        """Discovery."""
        self._ask(path)
        if path == "/apis":
            return {
                "groups": [
                    {
                        "name": name,
                        "versions": [{"groupVersion": f"{name}/{each}"} for each in versions],
                        "preferredVersion": {"groupVersion": f"{name}/{next(iter(versions))}"},
                    }
                    for name, versions in self.groups.items()
                ]
            }
        _, _, group, version = path.split("/")
        kinds = self.groups[group][version]
        return {
            "resources": [{"name": f"{each.lower()}{rest}", "kind": each} for each in kinds for rest in ("", "/status")]
        }

    def list(self, path: str) -> Sequence[dict[str, Any]]:
        """Objects of a kind, or nodes."""
        self._ask(path)
        if path == "/api/v1/nodes":
            return [{"metadata": {"name": "one", "labels": {"role": "worker"}}}, {"metadata": {"name": "two"}}]
        _, _, group, version, plural = path.split("/")
        return next(found for kind, found in self.groups[group][version].items() if kind.lower() == plural)

    def _ask(self, path: str) -> None:
        self.asked.append(path)
        if path == self.broken:
            raise ClusterError(f"GET {path}: HTTP 503")


def found(server: Server) -> OtherPolicies:
    """What is found there."""
    return other_policies(cast("KubeApi", server))


def named(name: str = "x", **spec: Any) -> dict[str, Any]:
    """An object."""
    return {"metadata": {"name": name}, "spec": spec}


def test_where_no_such_kind_is_served_nothing_more_is_asked() -> None:
    """Neither Kubernetes' own groups nor those of other things."""
    server = Server(
        {
            "apps": {"v1": {}},
            "networking.k8s.io": {"v1": {"NetworkPolicy": [named()]}},
            "example.org": {"v1": {"Toy": []}},
        }
    )
    assert not found(server)
    assert ["/apis", "/apis/example.org/v1"] == server.asked


def test_policies_for_the_whole_cluster_are_read_once_each() -> None:
    """In the version that is preferred, whichever serve them; with the labels of nodes."""
    cluster = {"ClusterNetworkPolicy": [{**WHOLE, "spec": {**WHOLE["spec"], "tier": "Admin"}}]}
    server = Server({ADMIN: {"v1alpha2": cluster, "v1beta1": cluster, "v1alpha1": {"AdminNetworkPolicy": [WHOLE]}}})
    others = found(server)
    assert ["ClusterNetworkPolicy a", "AdminNetworkPolicy a"] == [str(each) for each in others.admin]
    assert () == others.strange
    assert {"one": {"role": "worker"}, "two": {}} == others.nodes
    assert "ClusterNetworkPolicy a, AdminNetworkPolicy a" == str(others)


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("cilium.io", "CiliumNetworkPolicy"), ("cilium.io", "CiliumClusterwideNetworkPolicy"),
        ("crd.projectcalico.org", "NetworkPolicy"), ("crd.projectcalico.org", "GlobalNetworkPolicy"),
        ("projectcalico.org", "GlobalNetworkPolicy"), ("crd.antrea.io", "ClusterNetworkPolicy"),
    ],
)  # fmt: skip
def test_kinds_of_a_network_are_told_where_there_are_objects(group: str, kind: str) -> None:
    """A kind that nothing is of says nothing."""
    assert not found(Server({group: {"v1": {kind: []}}}))
    others = found(Server({group: {"v1": {kind: [named()]}}}))
    assert (f"{kind} ({group})",) == others.strange


def test_what_enforces_nothing_of_its_own_is_left_out() -> None:
    """Calico's trials, and Kubernetes' own policies as its API shows them."""
    kinds = {
        "StagedGlobalNetworkPolicy": [named()],
        "NetworkPolicy": [named("knp.default.web"), named("kanp.adminnetworkpolicy.a")],
    }
    assert not found(Server({"projectcalico.org": {"v3": kinds}}))
    assert found(Server({"crd.projectcalico.org": {"v1": {"NetworkPolicy": [named("knp.default.web")]}}}))
    assert not found(Server({"controlplane.antrea.io": {"v1beta2": {"NetworkPolicy": [named("1234")]}}}))
    assert found(Server({ADMIN: {"v1alpha1": {"AdminNetworkPolicy": [WHOLE | {"metadata": {"name": "knp.mine"}}]}}}))


@pytest.mark.parametrize("path", ["/apis/cilium.io/v2", "/apis/cilium.io/v2/ciliumnetworkpolicy"])
def test_what_cant_be_listed_may_be_there(path: str) -> None:
    """So nobody knows."""
    others = found(Server({"cilium.io": {"v2": {"CiliumNetworkPolicy": []}}}, broken=path))
    assert (f"those of cilium.io, which can't be listed (GET {path}: HTTP 503)",) == others.strange


def test_a_policy_of_an_unknown_form_is_told() -> None:
    """It is none of those that are read."""
    others = found(Server({ADMIN: {"v1": {"ClusterNetworkPolicy": [named("new", tier="Tenant")]}}}))
    assert ((), ("ClusterNetworkPolicy new, of a form that is not known",)) == (others.admin, others.strange)


def test_the_ports_at_the_edges_of_what_they_name_are_known() -> None:
    """Of kinds that are not read every number where a port may stand, over both protocols."""
    rule = {
        "action": "Deny",
        "to": [{"namespaces": {}}],
        "ports": [{"portRange": {"protocol": "TCP", "start": 80, "end": 90}}],
    }
    cilium = named(
        egress=[{"toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}, {"port": "dns"}]}]}], priority=7
    )
    calico = named(egress=[{"destination": {"ports": [443, "8000:8100"]}}])
    others = found(Server({
        ADMIN: {"v1alpha1": {"AdminNetworkPolicy": [{**WHOLE, "spec": {**WHOLE["spec"], "egress": [rule]}}]}},
        "cilium.io": {"v2": {"CiliumNetworkPolicy": [cilium]}},
        "crd.projectcalico.org": {"v1": {"GlobalNetworkPolicy": [calico]}},
    }))  # fmt: skip
    assert {79, 80, 90, 91, 442, 443, 444, 5431, 5432, 5433, 7999, 8000, 8001, 8099, 8100, 8101} == {
        port for port, kind in others.edges() if kind == "TCP"
    }
    assert [("dns", "TCP")] == others.names()
    assert (5432, "UDP") in others.edges()
    assert (80, "UDP") not in others.edges()
