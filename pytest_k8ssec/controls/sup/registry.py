"""Only images of the stack's own registries get into its namespaces.

Whoever may create a pod brings the code that runs in it, unless something asks where the image comes from. An image
that is allowed is offered from a registry that cannot exist, to each namespace that the stack declares or runs a
workload in, as dry runs: in a container, in an init container, in a container that is added to a running pod, in place
of a running pod's image, with the allowed name as its path, and under a name that begins like an allowed one. Nothing
but the registry differs, so that no rule on tags or paths refuses it. The first of these is also offered by each
controller that makes pods, as each user and member of a group whom a rule of admission names, and with each label and
annotation of such a rule. Where there are several API servers, each is asked by itself. Each must be denied by admission;
the allowed image itself must be let in. That this image
can't be pulled is not a denial: the next foreign image can.

Remediation: bind a ValidatingAdmissionPolicy (or a policy engine's rule) to each namespace that names the registries or
repositories that images may come from, with `Deny` and `failurePolicy: Fail`, for `containers`, `initContainers` and
`ephemeralContainers`. A namespace that is open on purpose is declared in `[tool.k8ssec.allow.sup-registry]` as
`"namespace" = "reason"`.

```yaml
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: own-registry
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [pods, pods/ephemeralcontainers]
  variables:
    - name: images
      expression: >-
        (object.spec.containers + object.spec.?initContainers.orValue([])).map(c, c.image)
        + object.spec.?ephemeralContainers.orValue([]).map(c, c.image)
  validations:
    - expression: variables.images.all(image, image.startsWith('registry.example.com/shop/'))
      message: images must come from registry.example.com/shop
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: own-registry
spec:
  policyName: own-registry
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
```

Sources: CIS Kubernetes Benchmark 5.5.1;
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError, SabotageError, as_probe_error
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import ObjectName
from pytest_k8ssec.facts.listening_ports import is_over
from pytest_k8ssec.pods.absent import tell_absent
from pytest_k8ssec.pods.manifests import container_security
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.pods.resources import Resources
from pytest_k8ssec.probes.admission import admitted, admitted_but_for_room, await_admission, offered
from pytest_k8ssec.probes.guises import PLAIN, Guise, in_guises
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.probes.podsecurity import fits, may_bring, offered_pod, room_in
from pytest_k8ssec.sabotages.deleted_object import deleted
from pytest_k8ssec.sabotages.proofs import changing
from pytest_k8ssec.stack import Stack, Workload, pods_of
from pytest_k8ssec.verdict import Case, Judge

_REGISTRY = "registry.invalid"
_DEFAULT = "docker.io"
_BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
_ANY, _INIT = "a container of {}", "an init container of {}"
_ADDED, _GIVEN = "an ephemeral container of {}", "give a running pod {}"
"""Ways of an image into a namespace."""
_BINDING = re.compile(r"with binding '([^']+)' denied")


@control(
    severity=Severity.HIGH,
    subject="stack",
    cis=("5.5.1",),
    others=("C-0078", "C-0289", "MS-TA9002"),
    apart=True,
    dimensions=("server", "namespace", "guise", "way"),
)
def test_sup_registry(
    judge: Judge, cluster: Cluster, stack: Stack, twin: Callable[[Workload], Pod], allowed: Mapping[str, str]
) -> None:
    """Offer each namespace pods, and a running pod of ours a further container, with images of foreign registries."""
    guises = in_guises(cluster)
    running = {workload.namespace: workload for workload in stack.workloads()} if stack.deployed else {}
    declared, namespaces = Declared(judge, allowed, "open to all images"), stack.pod_namespaces
    left = [each for each in namespaces if not declared.covers(each, f"Namespace {each}")]
    declared.tell_unused()
    if not left:
        judge.not_applicable("the stack has no namespace that is not declared open to all images")
        return
    servers = servers_to_judge(judge, cluster)
    for server, namespace in product(servers, left):
        for guise, way in _ways(cluster.probe_image, guises, changed=namespace in running):
            judge.coverage.exists(**_at(server, namespace, guise, way))
    for namespace in left:
        room = room_in(cluster, namespace)
        cases = [(server, judge.case(f"namespace {namespace}{server.words}")) for server in servers]
        for server, case in cases:
            _offer_all(case, server, cluster.probe_image, namespace, room)
            for guise in guises:
                _in_guise(judge, case, server, cluster.probe_image, namespace, room, guise)
        if namespace in running:
            _change_one_that_runs(cluster, cases, running[namespace], twin)
        else:
            why = "no workload of the stack is there" if stack.deployed else "this run did not deploy the stack"
            judge.note(f"namespace {namespace}: no running pod was given a foreign image, as {why}")


def _ways(image: str, guises: Iterable[Guise], *, changed: bool) -> Iterator[tuple[Guise, str]]:
    """How a foreign image may come into a namespace, and as whom.

    Args:
        changed: whether there is a running pod to be changed.
    """
    foreign = _foreign(image)
    yield from ((PLAIN, _ANY.format(each)) for each in foreign)
    yield PLAIN, _INIT.format(foreign[0])
    yield from ((guise, _ANY.format(foreign[0])) for guise in guises)
    if changed:
        yield from ((PLAIN, way.format(foreign[0])) for way in (_ADDED, _GIVEN))


def _at(server: ApiServer, namespace: str, guise: Guise, way: str) -> dict[str, Any]:
    return {"server": server.name, "namespace": namespace, "guise": guise.kind, "way": way}


def _offer_all(case: Case, server: ApiServer, image: str, namespace: str, room: Resources) -> None:
    """Offer an allowed image, then foreign ones, to a namespace."""
    path = _pods_of(namespace)
    fine, _ = offered(server, path, offered_pod(image, room=room))
    case.positive(f"an allowed image, {image}, is let in", fine, succeeded=fits(fine))
    for words, manifest in _pods(image, room).items():
        answer, _ = offered(server, path, manifest)
        case.attack(words, answer, through=admitted_but_for_room(answer), at=_at(server, namespace, PLAIN, words))


def _pods_of(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def _in_guise(
    judge: Judge, case: Case, server: ApiServer, image: str, namespace: str, room: Resources, guise: Guise
) -> None:
    """A foreign image by whoever may bring an allowed one there, or in what a rule may spare."""
    path, foreign = _pods_of(namespace), _foreign(image)[0]
    words = _ANY.format(foreign)
    at = _at(server, namespace, guise, words)
    fine, _ = offered(server, path, offered_pod(image, room=room), guise=guise)
    if (may := may_bring(fine)) is None:
        case.attack(f"{words}{guise}", fine, through=None, at=at)
    elif may:
        answer, _ = offered(server, path, offered_pod(foreign, room=room), guise=guise)
        case.attack(f"{words}{guise}", answer, through=admitted_but_for_room(answer), at=at)
    else:
        judge.coverage.absent("nobody brings any pod there so", **at)


def _change_one_that_runs(
    cluster: Cluster,
    cases: Sequence[tuple[ApiServer, Case]],
    workload: Workload,
    twin: Callable[[Workload], Pod],
) -> None:
    """Give a running pod foreign images, at each API server; where none runs, that is told in each case."""
    try:
        pod = _that_runs(cluster, workload, twin)
    except ProbeError as error:
        for _, case in cases:
            tell_absent(case, error)
        return
    for server, case in cases:
        _change(case, server, cluster.probe_image, workload.namespace, pod)


def _that_runs(cluster: Cluster, workload: Workload, twin: Callable[[Workload], Pod]) -> tuple[str, str]:
    """Path and container of a running pod: a twin, or where none may stand, as a quota is full, one of the workload's own.

    Raises:
        ProbeError: there is neither.
    """
    try:
        where = twin(workload).vantage
    except ProbeError:
        with as_probe_error():
            own = [pod for pod in pods_of(cluster.api, workload) if not is_over(pod)]
        if not own:
            raise
        meta, (first, *_) = own[0]["metadata"], own[0]["spec"]["containers"]
        return f"/api/v1/namespaces/{workload.namespace}/pods/{meta['name']}", first["name"]
    return f"/api/v1/namespaces/{where.namespace}/pods/{where.pod}", where.container


def _change(case: Case, server: ApiServer, own: str, namespace: str, pod: tuple[str, str]) -> None:
    """A container that is added to a running pod, or gets another image there, comes by another way; all in dry runs."""
    path, container = pod
    foreign = _foreign(own)[0]
    added, given = _ADDED.format(foreign), _GIVEN.format(foreign)
    patch: dict[str, Any] = {"method": "PATCH", "headers": {"Content-Type": "application/strategic-merge-patch+json"}}
    (fine, _), (answer, _) = (
        offered(server, f"{path}/ephemeralcontainers", _added(image), **patch) for image in (own, foreign)
    )
    case.positive("an allowed image is let in as an ephemeral container", fine, succeeded=fine.status == 200)
    case.attack(added, answer, through=admitted(answer), at=_at(server, namespace, PLAIN, added))
    (fine, _), (answer, _) = (
        offered(server, path, {"spec": {"containers": [{"name": container, "image": image}]}}, **patch)
        for image in (own, foreign)
    )
    case.positive("a running pod may be given an allowed image", fine, succeeded=fine.status == 200)
    case.attack(given, answer, through=admitted(answer), at=_at(server, namespace, PLAIN, given))


def _added(image: str) -> dict[str, Any]:
    container = {"name": "k8ssec-offer", "image": image, "securityContext": container_security()}
    return {"spec": {"ephemeralContainers": [container]}}


def _foreign(image: str) -> list[str]:
    """What differs from an allowed image in the registry alone, so that nothing but a rule on registries can tell.

    The same from a registry that cannot exist, what has the allowed name for its path, and what begins like it: without
    the port, as neither a path nor the beginning of a name could have one.
    """
    registry, path = _parts(image)
    name = registry.partition(":")[0] or _DEFAULT
    whole = f"{name}/{path}" if registry else path
    return list(dict.fromkeys((f"{_REGISTRY}/{path}", f"{_REGISTRY}/{whole}", f"{name}.{_REGISTRY}/{path}")))


def _parts(image: str) -> tuple[str, str]:
    """The registry that a reference names, "" where it leaves that to the container runtime, and the rest of it."""
    first, slash, rest = image.partition("/")
    names_one = slash and (first == "localhost" or not {".", ":"}.isdisjoint(first))
    return (first, rest) if names_one else ("", image)


def _pods(image: str, room: Resources) -> dict[str, dict[str, Any]]:
    """Pods that differ from one that is let in by where an image comes from."""
    foreign = _foreign(image)
    init = offered_pod(image, room=room)
    init["spec"]["initContainers"] = copy.deepcopy(init["spec"]["containers"])
    init["spec"]["initContainers"][0] |= {"name": "init", "image": foreign[0]}
    return {_ANY.format(each): offered_pod(each, room=room) for each in foreign} | {_INIT.format(foreign[0]): init}


@sabotage(test_sup_registry)
def registry_policy_unbound(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """The policy that names the allowed registries is bound to nothing any more."""
    path = f"/api/v1/namespaces/{stack.pod_namespaces[0]}/pods"
    foreign = _foreign(cluster.probe_image)[0]
    answer, _ = offered(cluster, path, offered_pod(foreign))
    if not (named := _BINDING.search(answer.detail)):
        raise SabotageError(f"{path}: no binding of a ValidatingAdmissionPolicy denies {foreign}: {answer}")
    binding = f"{_BINDINGS}/{named[1]}"
    with deleted(cluster.api, binding):
        await_admission(cluster, path, offered_pod(foreign), let_in=True)
        proof = api_evidence("", f"GET {binding}", cluster.api.request("GET", binding))
        yield changing(proof, ObjectName("ValidatingAdmissionPolicyBinding", named[1]))
    await_admission(cluster, path, offered_pod(foreign), let_in=False)
