"""etcd lets no other member in without a certificate of its own CA.

Members talk to each other on port 2380, past all checks of clients: whoever is taken for a member takes part in the
consensus, and gets every key in a snapshot. Each address that etcd listens on is asked for the list of members, from its
own node, and each of its ports at the node's addresses from a pod, as an attacker would: in plain text, over TLS without a certificate, and with one of a CA made up on the spot. Any HTTP answer
over TLS, whatever its status, means that etcd talked to a stranger. So does an answer in plain text, except that of a
TLS port (400) or of another service (404). As with clients, the refusal comes with the first read.

`--peer-client-cert-auth=false` alone changes nothing: while `--peer-trusted-ca-file` is set, etcd still asks for a
certificate.

Remediation: start etcd with `--peer-client-cert-auth=true` and `--peer-trusted-ca-file=` naming a CA that signs nothing but
etcd's certificates, and let it listen for peers on no address that it does not need: with a single member that is loopback.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    etcd:
      local:
        extraArgs:
          peer-client-cert-auth: "true"
          peer-trusted-ca-file: /etc/kubernetes/pki/etcd/ca.crt
          listen-peer-urls: https://127.0.0.1:2380
```

Sources: CIS Kubernetes Benchmark 2.5; https://etcd.io/docs/v3.6/op-guide/security/
"""

from __future__ import annotations

from collections.abc import Callable

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.controls.etcd import KNOCKED, strangers_knock
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.probes.etcd import PEERS
from pytest_k8ssec.sabotages.proofs import unset
from pytest_k8ssec.verdict import Judge


@control(severity=Severity.HIGH, subject="cluster", cis=("2.5",), others=("C-0157",), apart=True, dimensions=KNOCKED)
def test_etcd_peer_auth(judge: Judge, cluster: Cluster, attacker: Callable[..., Pod]) -> None:
    """Try each of etcd's addresses from its own node, and its ports at the node's addresses from a pod."""
    strangers_knock(judge, cluster, PEERS, attacker())


def _no_ca(cluster: Cluster) -> Evidence:
    return unset(cluster, "etcd", "peer-trusted-ca-file", "peer-client-cert-auth")


@sabotage(test_etcd_peer_auth, proof=_no_ca)
def no_peer_certificates(config: KindConfig) -> None:
    """etcd runs without peer-client-cert-auth and without a CA to trust for peers: either alone changes nothing."""
    config.etcd(peer_client_cert_auth="false", peer_trusted_ca_file="")
