"""No Service may claim an address that is not its own.

With `externalIPs` the author of a Service chooses an address, and every node then sends traffic for that address to the
author's pods. So whoever may write a Service can get other people's traffic, even that to a database or to the internet
(CVE-2020-8554, which has no other fix). A Service with such an address, from a range reserved for documentation, is
offered as a dry run; the same Service without the address must be let in. A warning that the field is deprecated is not
a denial.

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

from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.admission import admitted, offered
from pytest_k8ssec.sabotages.proofs import without_plugin
from pytest_k8ssec.verdict import Judge

_PLUGIN = "DenyServiceExternalIPs"
_ADDRESS = "203.0.113.7"


@control(severity=Severity.MEDIUM, subject="cluster", cis=("1.2.3",), mitre=("T1557",), others=("C-0283",))
def test_adm_external_ips(judge: Judge, cluster: Cluster, pool: Pool) -> None:
    """Offer a Service with an external address, and the same one without."""
    path = f"/api/v1/namespaces/{pool.namespace('canary')}/services"
    case = judge.case("a Service with externalIPs")
    fine, _ = offered(cluster, path, _service())
    case.positive("the same Service without an address is let in", fine, succeeded=fine.status == 201)
    answer, _ = offered(cluster, path, _service(externalIPs=[_ADDRESS]))
    case.attack(f"claim {_ADDRESS}", answer, through=admitted(answer))


def _service(**more: Any) -> dict[str, Any]:
    spec = {"selector": {"k8ssec": "offer"}, "ports": [{"port": 443}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"generateName": "k8ssec-offer-"}, "spec": spec}


def _without_plugin(cluster: Cluster) -> Evidence:
    return without_plugin(cluster, _PLUGIN)


@sabotage(test_adm_external_ips, proof=_without_plugin)
def external_ips_admitted(config: KindConfig) -> None:
    """The API server runs without DenyServiceExternalIPs."""
    config.api_server(enable_admission_plugins="NodeRestriction")
