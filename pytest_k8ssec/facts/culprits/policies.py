"""The network policy that lets a connection through, or the namespace whose pods none holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.evidence.causes import Culprit, Flow, ObjectName
from pytest_k8ssec.facts.policies.kinds import other_policies
from pytest_k8ssec.facts.policies.network import End, Peer, policy_types, selects
from pytest_k8ssec.facts.policies.table import PolicyTable


@dataclass(slots=True)
class FlowFinder:
    """Answers for many connections; what they have in common is asked for once."""

    api: KubeApi
    _known: dict[str, JSON] = field(default_factory=dict)

    def find(self, flow: Flow) -> tuple[list[Culprit], str]:
        """The culprits; where there is none, why.

        Raises:
            ClusterError: the API server did not list what was asked for.
        """
        if words := self._others():
            return [], f"policies of other kinds decide too, and which of them is not told: {words}"
        path = f"/apis/networking.k8s.io/v1/namespaces/{flow.namespace}/networkpolicies"
        holding = [
            each
            for each in self._list(path)
            if flow.direction in policy_types(each)
            and selects(each["spec"].get("podSelector") or {}, dict(flow.labels))
        ]
        if not holding:
            how = f"has no NetworkPolicy that selects these pods for {flow.direction.lower()}"
            return [Culprit(ObjectName("Namespace", flow.namespace), how)], ""
        names = [each["metadata"]["name"] for each in holding if self._lets_through(each, flow)]
        culprits = [Culprit(ObjectName("NetworkPolicy", name, flow.namespace), "lets it through") for name in names]
        return (
            culprits,
            "" if culprits else f"no NetworkPolicy lets through {flow}: the network does not do what they say",
        )

    def _others(self) -> str:
        if "others" not in self._known:
            found = other_policies(self.api)
            self._known["others"] = str(found) if found else ""
        return str(self._known["others"])

    def _list(self, path: str) -> list[Body]:
        if path not in self._known:
            self._known[path] = self.api.list(path)
        found: list[Body] = self._known[path]
        return found

    def _lets_through(self, policy: Body, flow: Flow) -> bool:
        """Whether a policy by itself surely lets it through, in the direction that it is blamed for."""
        alone = {**policy, "spec": {**policy["spec"], "policyTypes": [flow.direction]}}
        mine = Peer(flow.namespace, self._labels_of(flow.namespace), dict(flow.labels))
        source, target = self._end(flow.source), self._end(flow.target)
        if flow.direction == "Egress":
            source = End(flow.source, pod=mine)
        else:
            target = End(flow.target, pod=mine, named=target.named)
        return PolicyTable([alone], [source], [(target, flow.port, flow.protocol)]).answer(0, 0) is True

    def _end(self, address: str) -> End:
        """Who has an address now: a pod, a node, or nobody of this cluster."""
        for pod in self._list("/api/v1/pods"):
            ours = {each["ip"] for each in pod.get("status", {}).get("podIPs") or ()}
            if address in ours and not pod["spec"].get("hostNetwork"):
                space = pod["metadata"]["namespace"]
                peer = Peer(space, self._labels_of(space), pod["metadata"].get("labels") or {})
                return End(address, pod["spec"].get("nodeName", ""), peer, _named_ports(pod))
        for node in self._list("/api/v1/nodes"):
            if address in {each["address"] for each in node["status"]["addresses"]}:
                return End(address, node["metadata"]["name"])
        return End(address)

    def _labels_of(self, namespace: str) -> dict[str, str]:
        spaces = {
            each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in self._list("/api/v1/namespaces")
        }
        return dict(spaces.get(namespace, {}))


def _named_ports(pod: Body) -> frozenset[tuple[str, str, int]]:
    return frozenset(
        (port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("name")
    )
