"""What the stack was given as a secret stands nowhere but in its own Secrets.

A password that is also in a variable of a pod template, in a ConfigMap, an annotation, an event or a log is read by everybody
who may look at pods: that is `view`. One that the program took for plain text is in the stack's state as plain text too, for
everybody who may read the state. The values by which this run configured the stack (`--k8ssec-secret`) are looked for in
every object, of every kind, of the stack's namespaces and of the cluster, events among them; in every log of its containers;
and in the exported state: as they are, in base64, several times in it, and compressed, as Helm keeps its releases. The
Secrets that the stack declares are where they belong.

The same search must find what we plant in a namespace of ours: a value of our own in each of these forms and in an event, and
what a pod of ours writes into its log. And it must find the real value in a declared Secret, or else nothing shows that it ever
arrived. Only names, paths and forms are told.

An object that may hold a value is declared in `[tool.k8ssec.allow.secrets-canary-leak]` as `"Secret namespace/name" =
"reason"`, and a value that goes to no Secret by its configuration key.

Remediation: hand secrets to pods by files from a Secret, never by `env.value` or a ConfigMap; read them in the program by
`require_secret`, and wrap what is made of them in `pulumi.Output.secret`. Replace a value that was found.

Sources: CIS Kubernetes Benchmark 5.4.1; https://www.pulumi.com/docs/iac/concepts/secrets/
"""

from __future__ import annotations

import base64
import gzip
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.control import Severity, control, sabotage
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.probes.inventory import logs, objects
from pytest_k8ssec.probes.pool import Pool
from pytest_k8ssec.redaction import register
from pytest_k8ssec.stack import SAMPLE, Leak, Stack, leaks
from pytest_k8ssec.verdict import Case, Judge

_US = Source("client", "this process")
_SHORTEST = 8
"""Shorter values stand in innocent words as well."""
_MARKER, _NONCE = "our own marker", "the nonce of our own pod"
_SHOWN = 5
"""How many places a report names."""


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.4.1",),
    mitre=("T1552.001",),
    others=("C-0012", "C-0207", "KSV-0109", "MS-TA9027"),
)
def test_secrets_canary_leak(
    judge: Judge, cluster: Cluster, stack: Stack, pool: Pool, allowed: Mapping[str, str]
) -> None:
    """Look for the stack's secret configuration values in its objects, events, logs and state."""
    values = _searched(judge, stack, allowed)
    if not values:
        judge.not_applicable("the stack was given no secret to look for: name one by --k8ssec-secret KEY=ENVVAR")
        return
    pod, marker = pool.attacker(), secrets.token_hex(16)
    ours = pod.vantage.namespace
    places = (*stack.namespaces, ours)
    with cluster.api.applied(*_planted(ours, marker)):
        listed = ((_title(one), one) for one in objects(cluster.api, places))
        in_objects = _Search.of("objects, events among them", listed, {**values, _MARKER: marker})
    read = ((whose, {"log": text}) for whose, text in logs(cluster.api, places))
    in_logs = _Search.of("logs", read, {**values, _NONCE: pod.nonce})
    known = {f"Secret {one.namespace}/{one.name}" for one in stack.objects if one.type == "kubernetes:core/v1:Secret"}
    for name in values:
        case = judge.case(f"configuration value {name}")
        found = in_objects.for_(name)
        _positive(case, "it arrived in a Secret that the stack declares", found.at(known))
        _planted_was_found(case, in_objects.for_(_MARKER))
        _positive(case, "what our own pod logged is found", in_logs.for_(_NONCE))
        _attack(case, "in an object", found.but_at({*known, *allowed}))
        _attack(case, "in a log", in_logs.for_(name))
        if stack.deployed:
            _state(case, stack, name)
    if not stack.deployed:
        judge.note("the stack's state was not searched: this run did not deploy it")


@dataclass(frozen=True, slots=True)
class _Search:
    """Where values were looked for, and what was found: whose it is, and where in it."""

    where: str
    finds: tuple[tuple[str, Leak], ...]

    @classmethod
    def of(cls, what: str, documents: Iterable[tuple[str, Body]], values: Mapping[str, str]) -> _Search:
        """Look for values in documents, each with a name."""
        listed = list(documents)
        found = tuple((whose, leak) for whose, document in listed for leak in leaks(document, values))
        return cls(f"{len(listed)} {what}", found)

    def for_(self, name: str) -> _Search:
        """Of one value only."""
        return _Search(self.where, tuple(each for each in self.finds if each[1].secret == name))

    def at(self, places: set[str]) -> _Search:
        """In these documents only."""
        return _Search(self.where, tuple(each for each in self.finds if each[0] in places))

    def but_at(self, places: set[str]) -> _Search:
        """In other documents only."""
        return _Search(self.where, tuple(each for each in self.finds if each[0] not in places))

    @property
    def evidence(self) -> Evidence:
        """What was found, by place and form."""
        words = [f"{whose}: {leak.place} {leak.form}" for whose, leak in self.finds]
        more = [f"and {len(words) - _SHOWN} more"] if len(words) > _SHOWN else []
        outcome = Outcome.DONE if words else Outcome.ABSENT
        return Evidence(_US, f"search {self.where} for it", outcome, "; ".join(words[:_SHOWN] + more))


def _searched(judge: Judge, stack: Stack, allowed: Mapping[str, str]) -> dict[str, str]:
    """The values to look for, by configuration key; what is declared or too short is left out, and that is told."""
    found = {}
    for name, secret in stack.secrets.items():
        value = register(str(secret.reveal()))
        if name in allowed:
            judge.note(f"{name} is declared to be no secret of the cluster's: {allowed[name]}")
        elif len(value) < _SHORTEST:
            judge.note(f"{name}: not looked for, as it has fewer than {_SHORTEST} characters")
        else:
            found[name] = value
    for subject, reason in allowed.items():
        if subject not in stack.secrets:
            judge.note(f"{subject} is declared a place for a secret: {reason}")
    return found


def _title(one: Body) -> str:
    meta = one["metadata"]
    return f"{one['kind']} " + "/".join(meta[key] for key in ("namespace", "name") if meta.get(key))


def _attack(case: Case, where: str, search: _Search) -> None:
    case.attack(f"find it {where}", search.evidence, through=bool(search.finds))


def _positive(case: Case, what: str, search: _Search) -> None:
    case.positive(what, search.evidence, succeeded=bool(search.finds))


def _state(case: Case, stack: Stack, name: str) -> None:
    """What the search of the exported state, which was made where the state is, has found beside its own sample."""
    exposed = [leak for leak in stack.exposed if leak.secret == name]
    sample = tuple(("it", leak) for leak in exposed if leak.place.startswith(SAMPLE))
    others = tuple(("it", leak) for leak in exposed if not leak.place.startswith(SAMPLE))
    where = f"the exported state of {len(stack.resources)} resources"
    _positive(case, "a sample beside the exported state is found", _Search(where, sample))
    _attack(case, "in the exported state", _Search(where, others))


def _planted(namespace: str, marker: str) -> tuple[Body, Body]:
    """A ConfigMap that holds a marker in every form, and an event that holds it in plain."""
    name = f"k8ssec-marker-{marker[:6]}"
    meta = {"name": name, "namespace": namespace}
    packed = gzip.compress(marker.encode())
    data = {
        "plain": marker,
        "base64": _base64(marker.encode()),
        "twice": _base64(_base64(marker.encode()).encode()),
        "packed": _base64(packed),
        "packed-twice": _base64(_base64(packed).encode()),
    }
    about = {"kind": "ConfigMap", "apiVersion": "v1", "name": name, "namespace": namespace}
    return (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data},
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": meta,
            "involvedObject": about,
            "reason": "K8ssec",
            "message": f"a marker: {marker}",
            "type": "Normal",
        },
    )


def _planted_was_found(case: Case, search: _Search) -> None:
    places = {(whose.partition(" ")[0], leak.place) for whose, leak in search.finds}
    wanted = {("ConfigMap", f"data.{key}") for key in ("plain", "base64", "twice", "packed", "packed-twice")}
    wanted.add(("Event", "message"))
    case.positive(
        "a marker of our own is found in each form, and in an event", search.evidence, succeeded=wanted <= places
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


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
    release = _base64(gzip.compress(f'{{"config": {{"key": "{_a_secret(stack)}"}}}}'.encode()))
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {"name": "sh.helm.release.v1.k8ssec.v1", "namespace": stack.namespaces[0]},
        "data": {"release": _base64(release.encode())},
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
        yield api_evidence("", f"GET {path}: holds the secret", answer)
