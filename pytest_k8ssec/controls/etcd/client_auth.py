"""etcd answers no client without a certificate of its own CA.

Whoever can read etcd reads every Secret; whoever can write it is cluster-admin, past RBAC, admission and audit. etcd has
no other lock than the client's certificate, so each address that it listens on is tried as an attacker would, from its own
node, and each of its ports at the node's addresses from a pod: in plain text, over TLS without a certificate, and with one
of a CA made up on the spot. Any HTTP answer over TLS, whatever its
status, means that etcd talked to a stranger. So does an answer in plain text, except that of a TLS port (400) or of
another service (404): one socket may accept both, and a port for plain metrics gives no keys. With TLS 1.3 the
handshake seems to succeed and the refusal comes with the first read, so a request is sent and its answer read before
anything is concluded.

`--client-cert-auth=false` alone changes nothing: while `--trusted-ca-file` is set, etcd still asks for a certificate.

Remediation: start etcd with `--client-cert-auth=true` and `--trusted-ca-file=` naming a CA that signs nothing but etcd's
clients, and let it listen on no address that it does not need (kubeadm: `etcd.local.extraArgs` in ClusterConfiguration).

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    etcd:
      local:
        extraArgs:
          client-cert-auth: "true"
          trusted-ca-file: /etc/kubernetes/pki/etcd/ca.crt
```

Sources: CIS Kubernetes Benchmark 2.2; https://etcd.io/docs/v3.6/op-guide/security/
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.controls.etcd import KNOCKED, strangers_knock
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.etcd import CLIENTS
from pytest_k8ssec.sabotages.proofs import unset
from pytest_k8ssec.verdict import Judge


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("2.2",),
    others=("KHV031", "KHV032", "C-0154"),
    apart=True,
    dimensions=KNOCKED,
)
def test_etcd_client_auth(judge: Judge, cluster: Cluster, attacker: Callable[..., Pod]) -> None:
    """Try each of etcd's addresses from its own node, and its ports at the node's addresses from a pod."""
    strangers_knock(judge, cluster, CLIENTS, attacker())


def _no_ca(cluster: Cluster) -> Evidence:
    return unset(cluster, "etcd", "trusted-ca-file", "client-cert-auth")


@sabotage(test_etcd_client_auth, kills=("etcd-ca-isolation",), proof=_no_ca)
def no_client_certificates(config: KindConfig) -> None:
    """etcd runs without client-cert-auth and without a CA to trust: both, as either alone changes nothing."""
    config.etcd(client_cert_auth="false", trusted_ca_file="")
