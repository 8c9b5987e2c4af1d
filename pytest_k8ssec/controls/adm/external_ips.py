"""No Service may claim an address that is not its own.

With `externalIPs` the author of a Service chooses an address, and every node then sends traffic for that address to the
author's pods. So whoever may write a Service can get other people's traffic, even that to a database or to the internet
(CVE-2020-8554, which has no other fix). A Service with such an address, from a range reserved for documentation, is
offered to each namespace as a dry run, with IPv4 and with IPv6, and a Service that is there claims one; the same Service
without the address must be let in. Where there are several API servers, each is asked by itself: the plugin is a flag of
each. A warning that the field is deprecated is not a denial.

Remediation: start the API server with `--enable-admission-plugins=...,DenyServiceExternalIPs`, or refuse the field by a
ValidatingAdmissionPolicy.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        enable-admission-plugins: NodeRestriction,DenyServiceExternalIPs
```

Sources: CIS Kubernetes Benchmark 1.2.3;
https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#denyserviceexternalips
"""

from __future__ import annotations

import secrets
from itertools import product
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.facts.inventory import foreign_namespaces
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.admission import admitted, admitted_but_for_room, offered
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.probes.podsecurity import fits
from pytest_k8ssec.sabotages.proofs import without_plugin
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_PLUGIN = "DenyServiceExternalIPs"
_ADDRESSES = {"IPv4": "203.0.113.7", "IPv6": "2001:db8::7"}
"""By family. Sources: RFC 5737, RFC 3849."""
_CREATE, _UPDATE = "create", "update"


_SET_WRONG = Setting(
    "kube-apiserver", FieldCheck((("enable-admission-plugins",),), lacks="DenyServiceExternalIPs", unset=True)
)


@control(
    severity=Severity.MEDIUM,
    subject="cluster",
    cis=("1.2.3",),
    mitre=("T1557",),
    others=("C-0283",),
    dimensions=("server", "namespace", "verb", "family"),
    blames=(Setting,),
)
def test_adm_external_ips(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - a policy may tell a stack's namespaces from others, so they have to be there
    pool: Pool,
) -> None:
    """Offer Services with an external address, and the same ones without."""
    ours = pool.namespace("canary")
    namespaces, servers = [ours, *foreign_namespaces(cluster.api)], servers_to_judge(judge, cluster)
    verbs = [*((namespace, _CREATE) for namespace in namespaces), (ours, _UPDATE)]
    for server, (namespace, verb), family in product(servers, verbs, _ADDRESSES):
        judge.coverage.exists(**_at(server, namespace, verb, family))
    for server, namespace in product(servers, namespaces):
        _create(judge, server, namespace)
    there = {**_service(), "metadata": {"name": f"k8ssec-there-{secrets.token_hex(3)}", "namespace": ours}}
    with cluster.api.applied(there):
        for server in servers:
            _update(judge, server, ours, cluster.api.path_of(there))


def _at(server: ApiServer, namespace: str, verb: str, family: str) -> dict[str, Any]:
    return {"server": server.name, "namespace": namespace, "verb": verb, "family": family}


def _create(judge: Judge, server: ApiServer, namespace: str) -> None:
    """Offer a namespace Services that claim an address from the beginning."""
    path = f"/api/v1/namespaces/{namespace}/services"
    fine, _ = offered(server, path, _service())
    if fine.status == 404:  # others come and go
        for family in _ADDRESSES:
            judge.coverage.absent("the namespace is gone", **_at(server, namespace, _CREATE, family))
        return
    case = judge.case(f"a Service with externalIPs in namespace {namespace}{server.words}", causes=[_SET_WRONG])
    case.positive("the same Service without an address is let in", fine, succeeded=fits(fine))
    for family, address in _ADDRESSES.items():
        answer, _ = offered(server, path, _service(externalIPs=[address]))
        at = _at(server, namespace, _CREATE, family)
        case.attack(f"claim {address}", answer, through=admitted_but_for_room(answer), at=at)


def _update(judge: Judge, server: ApiServer, namespace: str, path: str) -> None:
    """Offer an address to a Service that is there."""
    case = judge.case(f"a Service that gets externalIPs{server.words}", causes=[_SET_WRONG])
    fine, _ = offered(server, path, {"spec": {"selector": {"k8ssec": "other"}}}, method="PATCH", headers=MERGE_PATCH)
    case.positive("the same Service may be changed otherwise", fine, succeeded=fine.status == 200)
    for family, address in _ADDRESSES.items():
        change = {"spec": {"externalIPs": [address]}}
        answer, _ = offered(server, path, change, method="PATCH", headers=MERGE_PATCH)
        at = _at(server, namespace, _UPDATE, family)
        case.attack(f"claim {address} for a Service that is there", answer, through=admitted(answer), at=at)


def _service(**more: Any) -> dict[str, Any]:
    spec = {"selector": {"k8ssec": "offer"}, "ports": [{"port": 443}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"generateName": "k8ssec-offer-"}, "spec": spec}


def _without_plugin(cluster: Cluster) -> Evidence:
    return without_plugin(cluster, _PLUGIN)


@sabotage(test_adm_external_ips, proof=_without_plugin)
def external_ips_admitted(config: KindConfig) -> None:
    """The API server runs without DenyServiceExternalIPs."""
    config.api_server(enable_admission_plugins="NodeRestriction")
