"""What the stack was given as a secret is nowhere but in its own Secrets.

A password that is also in a variable of a pod template, in a ConfigMap, an annotation, an event or a log can be read by
everybody who may look at pods, as the role `view` allows. One that the program took for plain text is in the stack's
state as plain text too, for everybody who may read the state. The values by which this run configured the stack
(`--k8ssec-secret`) are looked for in every object, of every kind, of the stack's namespaces and of the cluster, events
among them; in every log of its containers; and in the exported state: as they are, in base64, several times in base64,
and compressed, as Helm keeps its releases; also in hex, as URLs and Go's JSON escape them, without a newline at their
end, and a key of several lines line by line. The Secrets that the stack declares are where they belong, and those that it
patches; one that an operator makes of them is a copy. A log is read up to four mebibytes; of the rest nothing is known.

The same search must find what we plant in a namespace of ours: a value of our own in plain, packed and in an event, and
what a pod of ours writes into its log. And it must find the real value in a declared Secret, or else nothing shows that it ever
arrived. Only names, paths and forms are reported.

An object that may hold a value is declared in `[tool.k8ssec.allow.secrets-canary-leak]` as `"Secret namespace/name" =
"reason"`, and a value that goes to no Secret by its configuration key.

Remediation: hand secrets to pods by files from a Secret, never by `env.value` or a ConfigMap; read them in the program by
`require_secret`, and wrap what is made of them in `pulumi.Output.secret`. Replace a value that was found.

```python
import pulumi
import pulumi_kubernetes as k8s

key = pulumi.Config().require_secret("paymentsApiKey")
k8s.core.v1.Secret("bank-api-key", metadata={"name": "bank-api-key"}, string_data={"key": key})
k8s.core.v1.Pod(
    "shop",
    metadata={"name": "shop"},
    spec={
        "containers": [
            {
                "name": "shop",
                "image": "registry.example.com/shop:1.0",
                "volume_mounts": [{"name": "bank", "mount_path": "/run/secrets/bank", "read_only": True}],
            }
        ],
        "volumes": [{"name": "bank", "secret": {"secret_name": "bank-api-key", "default_mode": 0o440}}],
    },
)
```

Sources: CIS Kubernetes Benchmark 5.4.1; https://www.pulumi.com/docs/iac/concepts/secrets/
"""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import Known
from pytest_k8ssec.facts.inventory import has_log
from pytest_k8ssec.pods.manifests import OBJECT_LABEL
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.probes.leakage import Search, found_all, in_base64, in_logs, in_objects, logs_of, marked, objects_of
from pytest_k8ssec.sabotages.proofs import changing, object_of
from pytest_k8ssec.secrecy.redact import register
from pytest_k8ssec.stack import SAMPLE, Resource, Stack
from pytest_k8ssec.verdict import Case, Judge

_SHORTEST = 8
"""Shorter values stand in innocent words as well."""
_STATE = "the exported state"
_MARKER, _NONCE = "our own marker", "the nonce of our own pod"


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.4.1",),
    mitre=("T1552.001",),
    others=("C-0012", "C-0207", "KSV-0109", "MS-TA9027"),
    apart=True,
    dimensions=("value", "place"),
    blames=(Known,),
)
def test_secrets_canary_leak(
    judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]
) -> None:
    """Look for the stack's secret configuration values in its objects, events, logs and state."""
    values = _searched(judge, stack, allowed)
    if not values:
        judge.not_applicable(_why_none(stack, allowed))
        return
    pod, marker = pool.attacker(), secrets.token_hex(16)
    ours = pod.vantage.namespace
    namespaces = (*stack.namespaces, ours)
    state = (_STATE,) if stack.deployed else ()
    for name, place in product(values, (*_there_is(cluster, stack.namespaces, ours), *state)):
        judge.coverage.exists(value=name, place=place)
    with cluster.api.applied(*marked(ours, marker)):
        written = in_objects(cluster.api, namespaces, {**values, _MARKER: marker})
    logged = in_logs(cluster.api, namespaces, {**values, _NONCE: pod.nonce})
    home = {f"Secret {one.namespace}/{one.name}" for one in stack.objects if is_home(one)}
    for name in values:
        case = judge.case(f"configuration value {name}", subjects=(name,))
        ours_found = written.of(_MARKER)
        case.positive(
            "a marker of our own is found in each form, and in an event",
            ours_found.evidence,
            succeeded=found_all(ours_found),
        )
        _must_find(case, "what our own pod logged is found", logged.of(_NONCE))
        _must_find(case, "it arrived in a Secret that the stack declares", written.of(name).at(home))
        _attack(case, "in an object", written.of(name).elsewhere_than({*home, *allowed}), name)
        _attack(case, "in a log", logged.of(name), name)
        _state(case, stack, name)
    if not stack.deployed:
        judge.note("the stack's state was not searched: this run did not deploy it")


def is_home(one: Resource) -> bool:
    """Whether the stack itself says that a Secret is where its values belong: by declaring it, by a patch, or in a chart.

    One that something else made of them, such as an operator, or Helm for its record, is a copy.
    """
    return one.key[:2] == ("", "Secret") and bool(one.urn)


def _why_none(stack: Stack, allowed: Mapping[str, str]) -> str:
    """Why there is no value to look for."""
    if not stack.secrets:
        return "the stack was given no secret to look for: name one by --k8ssec-secret KEY=ENVVAR"
    if all(key in allowed for key in stack.secrets):
        return "each secret that the stack was given is declared"
    but = " and that is not declared" if any(key in allowed for key in stack.secrets) else ""
    return (
        f"no secret that the stack was given{but} has {_SHORTEST} characters, so none can be told from innocent words"
    )


def _searched(judge: Judge, stack: Stack, allowed: Mapping[str, str]) -> dict[str, str]:
    """The values to look for, by configuration key; what is declared or too short is left out, and that is told."""
    for subject, reason in allowed.items():
        judge.note(f"{subject} is declared: {reason}")
    found = {key: register(str(value.reveal())) for key, value in stack.secrets.items() if key not in allowed}
    for key, value in found.items():
        if len(value) < _SHORTEST:
            judge.note(f"{key}: not looked for, as it has fewer than {_SHORTEST} characters")
    return {key: value for key, value in found.items() if len(value) >= _SHORTEST}


def _there_is(cluster: Cluster, namespaces: Sequence[str], ours: str) -> Iterator[str]:
    """Where there is something to search: each namespace, what is in none, and the logs of where containers have run.

    Pods of ours count in our own namespace only: elsewhere they come and go.

    Raises:
        ClusterError: pods could not be listed.
    """
    for namespace in ("", *namespaces, ours):
        yield objects_of(namespace)
    yield logs_of(ours)
    for namespace in namespaces:
        pods = cluster.api.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"!{OBJECT_LABEL}")
        if any(has_log(pod) for pod in pods):
            yield logs_of(namespace)


def _attack(case: Case, where: str, search: Search, name: str) -> None:
    at = [{"value": name, "place": place} for place in search.places]
    used = [[document] for document, _ in search.finds]
    case.attack(f"find it {where}", search.evidence, through=search.found, at=at, cause=_holders(search), used=used)


_WRITTEN = {
    "ConfigMap": "v1",
    "Secret": "v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
}
"""Kinds that somebody writes, and no controller makes of another object that has the value already."""


def _holders(search: Search) -> list[Known]:
    """The objects in which it was found."""
    found = []
    for document, leak in search.finds:
        kind, _, where = document.partition(" ")
        namespace, _, name = where.rpartition("/")
        if kind in _WRITTEN and namespace:
            found.append(Known(kind, _WRITTEN[kind], namespace, name, leak.place, f"holds it, {leak.form}"))
    return found


def _must_find(case: Case, what: str, search: Search) -> None:
    case.positive(what, search.evidence, succeeded=bool(search.finds))


def _state(case: Case, stack: Stack, name: str) -> None:
    """What the search of the exported state, made where that state is, has found, and the sample beside it."""
    if not stack.deployed:
        return
    where = f"the exported state of {len(stack.resources)} resources"
    found = Search(
        where,
        tuple(("a sample" if one.place.startswith(SAMPLE) else "it", one) for one in stack.exposed),
        places=frozenset({_STATE}),
    ).of(name)
    _must_find(case, "a sample beside the exported state is found", found.at({"a sample"}))
    _attack(case, f"in {_STATE}", found.at({"it"}), name)


@sabotage(test_secrets_canary_leak)
def key_in_config_map(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A ConfigMap of the stack's holds one of its secrets in plain, within a settings file."""
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "k8ssec-settings", "namespace": stack.namespaces[0]},
        "data": {"settings.ini": f"[bank]\nkey = {_a_secret(stack)}\n"},
    }
    yield from _kept(cluster, manifest)


@sabotage(test_secrets_canary_leak)
def key_in_release(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """A Helm release that nobody declared holds one of the stack's secrets, compressed."""
    release = in_base64(gzip.compress(f'{{"config": {{"key": "{_a_secret(stack)}"}}}}'.encode()))
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {"name": "sh.helm.release.v1.k8ssec.v1", "namespace": stack.namespaces[0]},
        "data": {"release": in_base64(release)},
    }
    yield from _kept(cluster, manifest)


def _a_secret(stack: Stack) -> str:
    if not stack.secrets:
        raise SabotageError("stack: was given no secret")
    return str(next(iter(stack.secrets.values())).reveal())


def _kept(cluster: Cluster, manifest: Body) -> Iterator[Evidence]:
    """Create an object, and show by its data that it is there."""
    with cluster.api.applied(manifest):
        path = cluster.api.path_of(manifest)
        answer = cluster.api.request("GET", path)
        if answer.body.get("data") != manifest["data"]:
            raise SabotageError(f"GET {path}: does not hold what was written")
        yield changing(api_evidence("", f"GET {path}: holds the secret", answer), object_of(manifest))
