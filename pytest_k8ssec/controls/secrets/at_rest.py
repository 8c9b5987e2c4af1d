"""Secrets are encrypted in etcd.

What lies in etcd lies in its snapshots and on its disks. The flag `--encryption-provider-config` proves nothing: the first
provider may be `identity`, some API servers may lack the flag, and Secrets that were written before it was set stay as
they were until they are written again. So a canary Secret is written through each API server and read raw from etcd, past
the API server; and the first bytes of every other Secret are looked at, cut off on the node so that no value leaves it. Each
that the API lists, before and after, must be among them.

The provider is in the evidence: a key in a file on the node's disk (secretbox, aescbc, aesgcm) does not survive the theft of
that disk; a KMS does.

Remediation: give every API server an EncryptionConfiguration whose first provider for `secrets` is `kms`, `secretbox` or
`aescbc`, and rewrite the Secrets that are there: `kubectl get secrets --all-namespaces -o json | kubectl replace -f -`.

```yaml
# kind.yaml
nodes:
  - role: control-plane
    extraMounts: # into a folder that kubeadm mounts into the API server
      - hostPath: encryption.yaml
        containerPath: /etc/kubernetes/pki/encryption.yaml
        readOnly: true
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        encryption-provider-config: /etc/kubernetes/pki/encryption.yaml
---
# encryption.yaml, beside kind.yaml; elsewhere than under k8ssec the key comes from `head -c 32 /dev/urandom | base64`
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox:
          keys:
            - name: run
              secret: ${random:32}
      - identity: {} # reads what was written before
```

Sources: CIS Kubernetes Benchmark 1.2.27, 1.2.28; https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import replace

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.headers import METADATA_OF_MANY
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.facts.node import control_planes
from pytest_k8ssec.plain import few
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.etcd import raw_prefixes, raw_value
from pytest_k8ssec.probes.nodes_in_reach import entered_control_planes
from pytest_k8ssec.probes.write_through import write_secret
from pytest_k8ssec.sabotages.proofs import unset
from pytest_k8ssec.secrecy.redact import register
from pytest_k8ssec.verdict import Judge

_ENCRYPTED = b"k8s:enc:"
_REGISTRY = "/registry/secrets/"
_CANARY, _ANY = "a canary of ours", "any"


_SET_WRONG = Setting("kube-apiserver", FieldCheck((("encryption-provider-config",),), bad=("",), unset=True))


@control(
    severity=Severity.CRITICAL,
    subject="cluster",
    cis=("1.2.27", "1.2.28"),
    others=("C-0066", "C-0141", "KCV-0030"),
    apart=True,
    dimensions=("server", "secret"),
    blames=(Setting,),
)
def test_secrets_at_rest(judge: Judge, cluster: Cluster, pool: Pool) -> None:
    """Write a canary through each API server and read it, and the beginning of all others, raw from etcd."""
    namespace, nodes = pool.namespace("canary"), entered_control_planes(judge, cluster)
    for node in nodes:
        judge.coverage.exists(server=node.name, secret=_CANARY)
    for node in nodes:
        name, canary = f"at-rest-{secrets.token_hex(3)}", register(secrets.token_hex(24))
        written = write_secret(cluster, node, namespace, name, canary)
        _canary(judge, cluster, node, f"{namespace}/{name}", canary, written)
    _all_others(judge, cluster, f"{namespace}/{name}", written)


_OURS = "k8ssec-"
"""Namespaces of this run, and what is in them, are others in the next one."""


def _listed(cluster: Cluster) -> set[str]:
    """The Secrets that the API has, by namespace and name; no value is asked for."""
    found = cluster.api.call("GET", "/api/v1/secrets", headers=METADATA_OF_MANY, params={"resourceVersion": ""})
    return {f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in found["items"]}


def _canary(judge: Judge, cluster: Cluster, node: Node, name: str, canary: str, written: Evidence) -> None:
    value, evidence = raw_value(cluster, node, f"{_REGISTRY}{name}", _beginning)
    readable = any(form in value for form in (canary.encode(), base64.b64encode(canary.encode())))
    case = judge.case(f"canary Secret written through the API server on {node.name}", causes=[_SET_WRONG])
    case.positive("the API returns the canary", written, succeeded=written.status == 200)
    case.positive("its key is in etcd", evidence, succeeded=bool(value))
    through = readable or not value.startswith(_ENCRYPTED) if value else None
    case.attack("read it raw from etcd", evidence, through=through, at={"server": node.name, "secret": _CANARY})


def _all_others(judge: Judge, cluster: Cluster, known: str, written: Evidence) -> None:
    (node, *_) = control_planes(cluster)
    before = _listed(cluster)
    prefixes, evidence = raw_prefixes(cluster, node, _REGISTRY)
    for name in before & _listed(cluster):  # what came or went meanwhile may rightly not be there
        judge.coverage.exists(server=_ANY, secret=name)
    found = {key.removeprefix(_REGISTRY): start for key, start in prefixes.items()}
    plain = sorted(name for name, start in found.items() if not start.startswith(_ENCRYPTED))
    case = judge.case("all Secrets in etcd", causes=[_SET_WRONG])
    case.positive("the canary is among them", evidence, succeeded=known in found)
    case.positive("the API returns the canary", written, succeeded=written.status == 200)
    words = f"of {len(prefixes)}, in plain text: {few(plain)}" if plain else f"of {len(prefixes)}"
    case.attack(
        "read the first bytes of each",
        replace(evidence, detail=words),
        through=bool(plain),
        at=[{"server": _ANY, "secret": name} for name in found],
        used=[[name, f"Secret {name}"] for name in plain if not name.startswith(_OURS)],
    )


def _beginning(value: bytes) -> str:
    """What a report may show of a raw value: who encrypted it, or that nobody did."""
    if value.startswith(_ENCRYPTED):
        return "encrypted by " + ":".join(value[:64].decode("latin-1").split(":")[2:5])
    return "not encrypted"


def _no_provider(cluster: Cluster) -> Evidence:
    return unset(cluster, "kube-apiserver", "encryption-provider-config")


@sabotage(test_secrets_at_rest, proof=_no_provider)
def no_encryption(config: KindConfig) -> None:
    """The API server runs without an encryption provider."""
    config.api_server(encryption_provider_config=None)
