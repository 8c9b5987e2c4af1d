"""API servers and kubelets take no TLS that is known to be weak.

TLS 1.0 and 1.1 rest on MD5 and SHA-1 and on block ciphers whose padding leaks (RFC 8996 forbids them); with RSA key exchange,
whoever once gets the server's key reads all that was ever recorded. Tokens, Secrets and exec sessions go over these
connections. Each of the three is offered, and nothing else with it, to every API server and kubelet at each address of its
node, from a pod, by a ClientHello that is built by hand: a modern TLS library might itself refuse, and that would look like the server's
refusal. A ServerHello is a breach; an alert, or an end without one, is a refusal.

A server in the same pod that accepts everything shows that the offers are valid. A current offer at the same moment,
which each port must accept, shows that a TLS server listens there.

Remediation: `--tls-min-version=VersionTLS12` (or 13) for the API server, `tlsMinVersion` for kubelets, and no `TLS_RSA_`
suites in `--tls-cipher-suites` and `tlsCipherSuites`: unset is fine.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        tls-min-version: VersionTLS12
  - |
    kind: KubeletConfiguration
    tlsMinVersion: VersionTLS12
```

Sources: CIS Kubernetes Benchmark 1.2.29, 4.2.12; https://www.rfc-editor.org/rfc/rfc8996
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, product

from pytest_k8ssec.agent.client_hello import CURRENT, WEAK
from pytest_k8ssec.agent.tasks import Hello, HelloHere
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters import ports
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.node import argument_evidence, arguments, control_planes
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes import kubelets
from pytest_k8ssec.probes.certificates import foreign_certificate
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.verdict import Judge

_THROUGH = {Outcome.OPEN: True, Outcome.TLS_ALERT: False, Outcome.CLOSED: False}
_LOWEST = "VersionTLS10"
_RSA_SUITE = "TLS_RSA_WITH_AES_128_GCM_SHA256"


@control(
    severity=Severity.MEDIUM,
    subject="cluster",
    cis=("1.2.29", "4.2.12"),
    mitre=("T1557",),
    others=("C-0277",),
    apart=True,
    dimensions=("server", "node", "address", "offer"),
)
def test_api_tls(judge: Judge, cluster: Cluster, pool: Pool, attacker: Callable[..., Pod]) -> None:
    """Offer each API server and kubelet what is weak, and nothing else, from a pod."""
    servers = [("API server", node, API_SERVER_PORT) for node in cluster.nodes if node.control_plane]
    servers += [("kubelet", node, ports.KUBELET_PORT) for node in nodes_to_judge(judge, pool)]
    doors = [(server, node, address, port) for server, node, port in servers for address in node.addresses]
    for (server, node, address, _), offer in product(doors, WEAK):
        judge.coverage.exists(server=server, node=node.name, address=address, offer=offer.name)
    offers = (CURRENT, *WEAK)
    answers = iter(
        attacker().probe(
            *(HelloHere(offer, foreign_certificate().pem) for offer in WEAK),
            *(Hello(address, port, offer) for _, _, address, port in doors for offer in offers),
        )
    )
    shown = dict(zip(WEAK, islice(answers, len(WEAK)), strict=True))
    for server, node, address, _ in doors:
        current, *refused = islice(answers, len(offers))
        case = judge.case(f"{server} on {node.name} ({address})")
        case.positive("it takes a current offer", current, succeeded=current.outcome is Outcome.OPEN)
        for offer, answer in zip(WEAK, refused, strict=True):
            taken = shown[offer].outcome is Outcome.OPEN
            case.positive(f"a server of our own takes {offer.name}", shown[offer], succeeded=taken)
            at = {"server": server, "node": node.name, "address": address, "offer": offer.name}
            case.attack(f"offer {offer.name}", answer, through=_THROUGH.get(answer.outcome), at=at)


def _speak_1_0(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    lowest, _ = kubelets.configured(cluster, node, "tlsMinVersion")
    if {lowest, arguments(cluster, node, "kube-apiserver").get("tls-min-version")} != {_LOWEST}:
        raise SabotageError(f"kube-apiserver and kubelet on {node.name}: do not speak TLS 1.0")
    return argument_evidence(cluster, node, "kube-apiserver", "tls-min-version")


@sabotage(test_api_tls, proof=_speak_1_0)
def tls_1_0(config: KindConfig) -> None:
    """API server and kubelets take TLS 1.0 and all that came after."""
    config.api_server(tls_min_version=_LOWEST)
    config.kubelet(tlsMinVersion=_LOWEST)


def _takes_rsa(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    if _RSA_SUITE not in arguments(cluster, node, "kube-apiserver").get("tls-cipher-suites", ""):
        raise SabotageError(f"kube-apiserver: has no {_RSA_SUITE}")
    return argument_evidence(cluster, node, "kube-apiserver", "tls-cipher-suites")


@sabotage(test_api_tls, proof=_takes_rsa)
def rsa_key_exchange(config: KindConfig) -> None:
    """The API server takes RSA key exchange; kubelets could not, as the keys that they get certified are ECDSA ones."""
    config.api_server(tls_cipher_suites=f"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,{_RSA_SUITE}")
