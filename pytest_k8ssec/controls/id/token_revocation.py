"""A service account's token ends with the object that it was made for.

A token that leaked is revoked by deleting something: the pod that it is bound to, its service account, or, for tokens of
the old kind, the Secret that holds it. The token's signature stays valid, so revocation works only if API servers look
that object up each time. Three tokens of ours are made, used, revoked, and used again, at each API server, until they are
refused; API servers remember a token for ten seconds. A further token that is not revoked must be accepted to the end: otherwise a
refusal says nothing.

`--service-account-lookup=false` brings only tokens of the old kind back to life: bound ones are looked up whatever it says.
And the token of a pod that is being deleted lives for another minute, so what counts is the moment the object is gone.

Remediation: start kube-apiserver without `--service-account-lookup=false`, and replace Secrets of type
`kubernetes.io/service-account-token` by tokens of the TokenRequest API.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        service-account-lookup: "true"
```

Sources: CIS Kubernetes Benchmark 1.2.21; https://kubernetes.io/docs/concepts/security/service-accounts/
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import Identity, holder, service_account
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.sabotages.proofs import set_to
from pytest_k8ssec.verdict import Judge

_SECONDS = 30
_EVERY = 1.0
_THROUGH = {201: True, 401: False}
_TOKENS = ("of a service account", "bound to a pod", "in a Secret")
_Shown = tuple[ApiServer, str]
"""An API server and a token that is shown to it."""
_FLAG = "service-account-lookup"
_LEGACY = "kubernetes.io/service-account-token"
_LEGACY_OF = "kubernetes.io/service-account"


_SET_WRONG = Setting("kube-apiserver", FieldCheck((("service-account-lookup",),), bad=("false",)))


@control(
    severity=Severity.MEDIUM,
    subject="cluster",
    cis=("1.2.21",),
    mitre=("T1550.001",),
    others=("C-0135",),
    apart=True,
    dimensions=("server", "token"),
    blames=(Setting,),
)
def test_id_token_revocation(judge: Judge, cluster: Cluster, pool: Pool) -> None:
    """Use three tokens before and after what they were made for is gone."""
    servers = servers_to_judge(judge, cluster)
    for server, words in product(servers, _TOKENS):
        judge.coverage.exists(server=server.name, token=words)
    namespace, name = pool.namespace("revoked"), f"k8ssec-{secrets.token_hex(3)}"
    lasting = service_account(cluster, namespace, "default")
    account = _object("ServiceAccount", namespace, name)
    pod = _pod(namespace, name, cluster.probe_image)
    legacy = _object("Secret", namespace, name, type=_LEGACY)
    legacy["metadata"]["annotations"] = {f"{_LEGACY_OF}.name": "default"}
    with cluster.api.applied(account, pod, legacy) as (_, bound_to, _):
        tokens = {
            _TOKENS[0]: (account, service_account(cluster, namespace, name)),
            _TOKENS[1]: (pod, service_account(cluster, namespace, "default", bound_to=bound_to)),
            _TOKENS[2]: (legacy, _read(cluster, namespace, name)),
        }
        shown = {
            (server, words): replace(identity, api=server.api)
            for server in servers
            for words, (_, identity) in tokens.items()
        }
        # What a server knows of Secrets and accounts is a moment behind its store: it refuses the token of a new one.
        before = _until(shown, lambda identity, answer: identity.is_itself(answer))
        for manifest, _ in tokens.values():
            _remove(cluster, manifest)
        after = _until(shown, lambda _, answer: answer.status == 401)
    still = {server: replace(lasting, api=server.api).who_am_i() for server in servers}
    for (server, words), identity in shown.items():
        was, now, other = before[server, words], after[server, words], still[server]
        case = judge.case(f"token {words}{server.words}", causes=[_SET_WRONG])
        case.positive("it was accepted before", was, succeeded=identity.is_itself(was))
        case.positive("one that was not revoked is still accepted", other, succeeded=lasting.is_itself(other))
        at = {"server": server.name, "token": words}
        case.attack("use it once that is gone", now, through=_THROUGH.get(now.status or 0), at=at)


def _object(kind: str, namespace: str, name: str, **fields: Any) -> Body:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}


def _pod(namespace: str, name: str, image: str) -> Body:
    """A pod that nobody will ever start: a token is bound to the object, so that is all there has to be."""
    spec = {"schedulerName": "k8ssec.dev/nobody", "containers": [{"name": "nothing", "image": image}]}
    return _object("Pod", namespace, name, spec=spec)


def _read(cluster: Cluster, namespace: str, name: str) -> Identity:
    """The identity that a Secret of the old kind holds, as soon as a controller has put its token there."""
    path = f"/api/v1/namespaces/{namespace}/secrets"
    found = cluster.api.wait(path, name, lambda secret: bool((secret or {}).get("data", {}).get("token")),
                             deadline=_SECONDS, what=f"secret {namespace}/{name}: nobody put a token into it")  # fmt: skip
    assert found is not None
    token = base64.b64decode(found["data"]["token"]).decode()
    return holder(cluster.api, token, f"system:serviceaccount:{namespace}:default")


def _remove(cluster: Cluster, manifest: Body) -> None:
    """Delete an object and wait until it is gone: a token lives as long as that."""
    meta = manifest["metadata"]
    cluster.api.delete(cluster.api.path_of(manifest), grace=0)
    cluster.api.wait(cluster.api.path_of(manifest, collection=True), meta["name"], lambda found: found is None,
                     deadline=_SECONDS, what=f"{manifest['kind']} {meta['namespace']}/{meta['name']}: is not gone")  # fmt: skip


def _until(
    identities: Mapping[_Shown, Identity], answered: Callable[[Identity, Evidence], bool]
) -> dict[_Shown, Evidence]:
    """Use each token once a second until all are answered like that, or patience ends; the last answer of each."""
    end = time.monotonic() + _SECONDS
    while True:
        answers = {each: identity.who_am_i() for each, identity in identities.items()}
        if all(answered(identities[each], answer) for each, answer in answers.items()) or time.monotonic() > end:
            return answers
        time.sleep(_EVERY)


def _no_lookup(cluster: Cluster) -> Evidence:
    return set_to(cluster, "kube-apiserver", _FLAG, "false")


@sabotage(test_id_token_revocation, proof=_no_lookup)
def no_token_lookup(config: KindConfig) -> None:
    """The API server does not look up whether the Secret of a token still exists."""
    config.api_server(service_account_lookup="false")
