"""What an answer of admission counts for: let in, refused by a policy, or neither."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.api import KubeApi, Response
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.controls.adm import limits, psa
from pytest_k8ssec.controls.adm.limits import _lacking, _unbound
from pytest_k8ssec.controls.adm.psa import _let_in, _relabel
from pytest_k8ssec.controls.sup import registry
from pytest_k8ssec.controls.sup.registry import _change, _foreign
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.pods.manifests import ENFORCE
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.pods.resources import quantity
from pytest_k8ssec.probes.admission import admitted, admitted_but_for_room, only_quota_refused
from pytest_k8ssec.probes.podsecurity import CHECKS, IN_INIT, WHOLE, may_bring, offered_pod
from pytest_k8ssec.stack import Resource, Stack, Workload
from pytest_k8ssec.verdict import Case, Judge, Verdict
from tests.unit.fakes import POD, evidence, without


def _stack(*resources: Resource) -> Stack:
    return Stack("dev", "shop", {}, resources, True, 1.0, cast("KubeApi", None))


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (201, "", True),
        (200, "", True),
        (403, "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no", False),
        (422, "pods is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no", False),
        (401, "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no", False),
        (422, 'admission webhook "x" denied the request: no', False),
        (
            400,
            'admission webhook "validate.kyverno.svc-fail" denied the request: resource Pod/web/x was blocked',
            False,
        ),
        (403, 'admission webhook "x" denied the request without explanation', False),
        (403, 'pods "x" is forbidden: image policy webhook backend denied one or more images: no', False),
        (403, 'pods "x" is forbidden: exceeded quota: denied, requested: pods=1, used: pods=1, limited: pods=1', None),
        (403, 'pods "x" is forbidden: failed quota: denied: must specify limits.cpu for: probe', None),
        (403, 'pods "x" is forbidden: error looking up service account denied/default: not found', None),
        (403, 'pods is forbidden: User "denied" cannot create resource "pods" in API group ""', None),
        (500, 'failed calling webhook "x": denied the request', None),
        (500, 'admission webhook "x" denied the request: no', None),
        (403, 'services "x" is forbidden: Use of external IPs is denied by admission control', False),
        (403, 'User "x" cannot create resource "pods"', None),
        (422, "spec.containers[0].image: Required value", None),
        (500, "denied", None),
        (429, "", None),
    ],
)
def test_only_a_policy_refuses(status: int, words: str, expected: bool | None) -> None:
    """A 403 of RBAC and a 422 of validation are no denials."""
    assert expected is admitted(evidence(Outcome.HTTP, status=status, detail=words))


_CPU = (
    'pods "x" is forbidden: exceeded quota: team, requested: limits.cpu={},pods=1, used: limits.cpu={},pods=0,'
    " limited: limits.cpu={},pods=24"
)
_EXCEEDED = 'pods "x" is forbidden: exceeded quota: team, requested: pods=1, used: pods={0}, limited: pods={0}'


@pytest.mark.parametrize(
    ("words", "expected", "room"),
    [
        (_EXCEEDED.format(24), True, True),
        (_EXCEEDED.format(10), True, True),
        (_EXCEEDED.format(0), True, None),
        (
            'pods "x" is forbidden: exceeded quota: team, requested: limits.cpu=1,pods=1, used: limits.cpu=9,p',
            True,
            None,
        ),
        (
            _CPU.format("100m", "0", "50m"),
            True,
            None,
        ),
        (
            _CPU.format("100m", "450m", "500m"),
            True,
            True,
        ),
        ('admission webhook "x" denied the request: exceeded quota: of x, requested: y', False, False),
        ('pods "x" is forbidden: failed quota: team: must specify limits.cpu for: probe', False, None),
    ],
    ids=["full", "full-at-ten", "closed", "cut-off", "too-small", "full-of-cpu", "in-a-policy-s-words", "must-specify"],
)
def test_a_quota_is_asked_last(words: str, expected: bool, room: bool | None) -> None:
    """Whom only a full one keeps out is let in when there is room; one that never has room tells nothing."""
    answer = evidence(Outcome.HTTP, status=403, detail=words)
    assert expected is only_quota_refused(answer)
    assert room is admitted_but_for_room(answer)


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (201, "", True),
        (403, 'pods "x" is forbidden: violates PodSecurity "baseline:latest": hostPath volumes (volume "x")', False),
        (403, 'pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged', None),
        (400, 'admission webhook "validate.kyverno.svc-fail" denied the request: no hostPath', False),
        (
            422,
            "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no hostPath",
            False,
        ),
        (403, _EXCEEDED.format(3), True),
        (403, 'pods "x" is forbidden: exceeded quota: denied, requested: pods=1, used: pods=1, limited: pods=1', True),
        (403, 'pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2', None),
        (422, 'Pod "x" is invalid: spec.volumes[0]: Required value', None),
    ],
)
def test_a_bad_pod_is_refused_by_whoever_refuses_it(status: int, words: str, expected: bool | None) -> None:
    """Pod Security names the check; of a policy or a webhook, its denial is enough, as a compliant pod is let in."""
    check = next(each for each in CHECKS if each.name == "hostPath")
    assert expected is _let_in(evidence(Outcome.HTTP, status=status, detail=words), check)


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (201, "", True),
        (403, _EXCEEDED.format(3), True),
        (403, 'pods is forbidden: User "x" cannot create resource "pods" in API group ""', False),
        (
            403,
            'users "x" is forbidden: User "kubernetes-admin" cannot impersonate resource "users" in API group ""',
            None,
        ),
        (422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: not by him", False),
        (429, "too many requests", None),
        (500, "", None),
        (None, "", None),
    ],
)
def test_who_may_not_bring_any_pod_is_no_attacker(status: int | None, words: str, expected: bool | None) -> None:
    """That nobody came to be asked, as we may not be him or there was no answer, says nothing of him."""
    assert expected is may_bring(evidence(Outcome.HTTP, status=status, detail=words))


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, ["cpu", "memory"]),
        ({"limits": {"cpu": "1"}}, ["memory"]),
        ({"requests": {"cpu": "1", "memory": "1Gi"}}, ["cpu", "memory"]),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, []),
    ],
)
def test_limits_are_looked_for_in_what_comes_back(resources: dict[str, dict[str, str]], expected: list[str]) -> None:
    """Requests bound nothing."""
    bounded = {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    assert expected == _lacking({"spec": {"containers": [bounded, {"resources": resources}]}})


@pytest.mark.parametrize(
    ("words", "without", "expected"),
    [
        ("failed quota: team: must specify limits.cpu for: probe", ("cpu",), False),
        ("failed quota: team: must specify limits.cpu for: probe", ("memory",), None),
        ("failed quota: limits.cpu: must specify requests.cpu for: probe", ("cpu",), None),
        ("failed quota: team: must specify limits.cpu for: probe; limits.memory for: probe", ("cpu", "memory"), False),
        (
            "exceeded quota: team, requested: limits.cpu=50m, used: limits.cpu=12, limited: limits.cpu=12",
            ("cpu",),
            None,
        ),
        ("exceeded quota: team, requested: pods=1, used: pods=24", ("cpu",), None),
        ("forbidden: maximum cpu usage per Pod is 1.  No limit is specified", ("cpu",), False),
        ("forbidden: maximum cpu usage per Pod is 1.  No limit is specified", ("memory",), None),
        ("forbidden: maximum memory usage per Pod is 1Gi, but limit is 2Gi", ("memory",), None),
        ("cpu max limit to request ratio per Container is 4, but provided ratio is 40", ("cpu", "memory"), False),
        ("cpu max limit to request ratio per Container is 4, but provided ratio is 40", ("memory",), None),
    ],
)
def test_a_quota_that_asks_for_the_missing_limit_is_a_bound(
    words: str, without: tuple[str, ...], expected: bool | None
) -> None:
    """Its refusal names what is missing; one for too many pods, or for another limit, says nothing of this one."""
    assert expected is _unbound(evidence(Outcome.HTTP, status=403, detail=words), without, [])


@dataclass
class _Quota:
    """An API server with a quota on the limits of memory alone."""

    probe_image: str = "python:3.13"
    nodes: tuple[Node, ...] = ()
    server: str = "https://api"

    @property
    def api(self) -> _Quota:
        return self

    def list(self, _path: str) -> list[dict[str, Any]]:
        """Nothing that a pod would have to fit."""
        return []

    def request(self, method: str, path: str, *, body: Any, **_: Any) -> Response:
        assert (method, path) == ("POST", "/api/v1/namespaces/web/pods")
        containers = (*body["spec"]["containers"], *body["spec"].get("initContainers", ()))
        if all("memory" in each["resources"].get("limits", {}) for each in containers):
            return Response(201, body, 1)
        return Response(403, {"message": "failed quota: team: must specify limits.memory for: probe"}, 1)


def test_a_quota_on_memory_bounds_no_cpu() -> None:
    """What refuses a pod that lacks both limits may let in one that lacks the other."""
    judge = Judge()
    stack = _stack(Resource("urn", "kubernetes:core/v1:Namespace", "web"))
    limits.test_adm_limits(judge, cast("Cluster", _Quota()), stack, {})
    assert Verdict.BREACHED is judge.verdict()[0]
    lacking = ("create a pod without limits on cpu", "create a pod with an init container without limits on cpu")
    assert [*lacking] == [each.what for each in judge.attacks if each.got_through]


def test_labels_alone_say_nothing_of_pods() -> None:
    """A stack that has nowhere to run a pod is not held because its accounts can't relabel other people's namespaces."""
    stack = _stack(Resource("urn", "kubernetes:core/v1:ServiceAccount", "shop", "default"))
    judge = Judge()
    psa.test_adm_psa(judge, cast("Cluster", None), stack, cast("Pool", None), {})
    assert Verdict.NOT_APPLICABLE is judge.verdict()[0]


@dataclass
class _Accounts:
    """An API server that lets an account update its namespace, and not patch it."""

    @property
    def api(self) -> _Accounts:
        return self

    def call(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"status": {"token": "relabelling-token-of-nobody"}}

    def get(self, _path: str) -> dict[str, Any]:
        return {"kind": "Namespace", "metadata": {"name": "web", "resourceVersion": "7", "labels": {"team": "web"}}}

    def request(self, method: str, path: str, *, body: Any, token: str, **more: Any) -> Response:
        assert "relabelling-token-of-nobody" == token
        if method == "POST":
            return Response(201, {"status": {"userInfo": {"username": "system:serviceaccount:web:default"}}}, 1)
        assert path.startswith("/api/v1/namespaces/web")
        assert {"dryRun": "All"} == more["params"]
        if method == "PATCH" or path != "/api/v1/namespaces/web":
            says = 'namespaces "web" is forbidden: User "system:serviceaccount:web:default" cannot patch resource "namespaces"'
            return Response(403, {"kind": "Status", "message": says}, 1)
        labels = {"team": "web", ENFORCE: "privileged"}
        return Response(
            200 if body == {"kind": "Namespace", "metadata": {"name": "web", "labels": labels}} else 409, {}, 1
        )


def test_who_may_replace_its_namespace_needs_no_patch() -> None:
    """Two rights that lead to the same label: one is enough."""
    stack = _stack(Resource("urn", "kubernetes:core/v1:Namespace", "web"))
    judge = Judge()
    cluster = cast("Cluster", _Accounts())
    _relabel(judge, cluster, ApiServer("cp", cluster.api), {each: ["web"] for each in stack.identities()})
    assert [
        ("PATCH", False), ("PUT", True), ("PATCH/status", False), ("PUT/status", False), ("PUT/finalize", False),
    ] == [(each.what.split()[-1], each.through) for each in judge.attacks]  # fmt: skip
    assert Verdict.BREACHED is judge.verdict()[0]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (
            "docker.io/library/python:3.13-slim@sha256:00",
            [
                "registry.invalid/library/python:3.13-slim@sha256:00",
                "registry.invalid/docker.io/library/python:3.13-slim@sha256:00",
                "docker.io.registry.invalid/library/python:3.13-slim@sha256:00",
            ],
        ),
        ("python:3.13", ["registry.invalid/python:3.13", "docker.io.registry.invalid/python:3.13"]),
        ("python/python", ["registry.invalid/python/python", "docker.io.registry.invalid/python/python"]),
        (
            "localhost/probe:1",
            ["registry.invalid/probe:1", "registry.invalid/localhost/probe:1", "localhost.registry.invalid/probe:1"],
        ),
        (
            "registry.example:5000/a/b:1",
            [
                "registry.invalid/a/b:1",
                "registry.invalid/registry.example/a/b:1",
                "registry.example.registry.invalid/a/b:1",
            ],
        ),
    ],
)
def test_a_foreign_image_differs_in_its_registry_alone(image: str, expected: list[str]) -> None:
    """A rule on tags, digests or paths refuses none of them; what names no registry is docker.io's."""
    assert expected == _foreign(image)


@dataclass
class _Pods:
    """An API server that lets no foreign image in as an ephemeral container, and every one in place of another."""

    probe_image: str = "python:3.13"

    @property
    def api(self) -> _Pods:
        return self

    def request(self, method: str, path: str, *, body: Any, params: dict[str, str], **_: Any) -> Response:
        assert (method, params) == ("PATCH", {"dryRun": "All"})
        foreign = path.endswith("/ephemeralcontainers") and "registry.invalid" in json.dumps(body)
        return (
            Response(403, {"message": 'admission webhook "x" denied the request'}, 1)
            if foreign
            else Response(200, {}, 1)
        )


def test_another_image_for_a_running_pod_is_a_way_in() -> None:
    """Even where nothing comes in when a pod is created, or by an ephemeral container."""
    cluster, judge = cast("Cluster", _Pods()), Judge()
    where = ("/api/v1/namespaces/web/pods/twin", "probe")
    _change(judge.case("namespace web"), ApiServer("cp", cluster.api), "python:3.13", "web", where)
    verdict, why = judge.verdict()
    assert (Verdict.BREACHED, True) == (verdict, "give a running pod registry.invalid/python:3.13" in why)


@dataclass
class _Bounded:
    """An API server whose namespaces have LimitRanges of their own, and one a full quota; it enforces ``restricted``."""

    probe_image: str = "python:3.13"
    offers: dict[str, list[Any]] = field(default_factory=dict)
    """The resources that were offered, by namespace."""
    nodes: tuple[Node, ...] = ()
    name: str = "bounded"
    server: str = "https://api"
    spared: str = ""
    """A check that is let in all the same."""

    @property
    def api(self) -> _Bounded:
        return self

    def list(self, path: str) -> list[dict[str, Any]]:
        """Each namespace's own."""
        if "/namespaces/" not in path:
            return []
        namespace, kind = path.split("/")[4:6]
        least = {"small": {}, "large": {"memory": "256Mi"}, "full": {}}.get(namespace, {})
        return [{"spec": {"limits": [{"type": "Container", "min": least}]}}] if kind == "limitranges" else []

    def get(self, _path: str) -> dict[str, Any]:
        """Labels."""
        version = {f"{ENFORCE}-version": "v1.20"} if _path.endswith("large") else {}
        return {"metadata": {"labels": {ENFORCE: "restricted", **version}}}

    def request(self, _method: str, path: str, *, body: Any, **_: Any) -> Response:
        """Pod Security first, then the LimitRange, then the quota."""
        namespace = path.split("/")[4]
        (container,), init = body["spec"]["containers"], body["spec"].get("initContainers", ())
        self.offers.setdefault(namespace, []).append(container["resources"])
        if namespace != "ours":
            for check in (*CHECKS, *IN_INIT, WHOLE):
                broken = offered_pod(self.probe_image, check)["spec"]
                for each in (*broken["containers"], *broken.get("initContainers", ())):
                    each["resources"] = container["resources"]
                assert all(each["resources"] == container["resources"] for each in init)
                if broken == body["spec"] and check.name != self.spared:
                    return Response(403, {"kind": "Status", "message": f"violates PodSecurity: {check.words}"}, 1)
        if namespace == "large" and quantity(container["resources"]["requests"]["memory"]) < 256 * 1024**2:
            return Response(403, {"kind": "Status", "message": "minimum memory usage per Container is 256Mi"}, 1)
        if namespace == "full":
            return Response(
                403,
                {
                    "kind": "Status",
                    "message": "exceeded quota: team, requested: pods=1, used: pods=24, limited: pods=24",
                },
                1,
            )
        return Response(201, body, 1)


def _psa(
    monkeypatch: pytest.MonkeyPatch, *namespaces: str, allowed: dict[str, str] | None = None, spared: str = ""
) -> tuple[Judge, _Bounded]:
    monkeypatch.setattr(psa, "unrestricted_namespace", lambda _: "ours")
    monkeypatch.setattr(Stack, "identities", lambda _: ())
    judge, world = Judge(("server", "namespace", "guise", "check")), _Bounded(spared=spared)
    stack = _stack(*(Resource("urn", "kubernetes:core/v1:Namespace", name) for name in namespaces))
    psa.test_adm_psa(judge, cast("Cluster", world), stack, cast("Pool", None), allowed or {})
    return judge, world


def test_offers_fit_each_namespace_s_own_limit_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a full quota, which is asked last, has let them in as far as Pod Security goes."""
    judge, world = _psa(monkeypatch, "small", "large", "full")
    assert Verdict.HELD is judge.verdict()[0], judge.verdict()[1]
    assert {"16Mi"} == {each["requests"]["memory"] for each in world.offers["small"]}
    assert {256 * 1024**2} == {quantity(each["requests"]["memory"]) for each in world.offers["large"]}


def test_the_checks_of_containers_are_those_that_change_one() -> None:
    """Each of these is tried in an init container too, and leaves the other container as it was."""
    fine = offered_pod("x")["spec"]["containers"]
    changed = {check.name for check in CHECKS if offered_pod("x", check)["spec"]["containers"] != fine}
    assert changed == {check.of for check in IN_INIT}
    for check in IN_INIT:
        broken = offered_pod("x", check)["spec"]
        assert fine == broken["containers"]
        assert [{**fine[0], "name": "init"}] != broken["initContainers"]


@pytest.mark.parametrize("spared", [each.name for each in (*CHECKS, *IN_INIT)])
def test_one_check_that_is_spared_is_enough(monkeypatch: pytest.MonkeyPatch, spared: str) -> None:
    """In the container or in an init container."""
    judge, _ = _psa(monkeypatch, "small", spared=spared)
    assert Verdict.BREACHED is judge.verdict()[0]
    assert [f"{spared}: create such a pod"] == [each.what for each in judge.attacks if each.got_through]


@pytest.mark.parametrize(
    "hole", ["hostPID", "privileged in an init container", "job-controller", "'namespace': 'small'"]
)
def test_an_offer_that_is_not_made_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    verdict, why = _psa(monkeypatch, "small", "large")[0].verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole.split("'")[-2 if "'" in hole else 0] in why.partition("not tried: ")[2]


@pytest.mark.parametrize("hole", ["init container", "cpu and memory"])
def test_a_limit_whose_lack_is_not_tried_is_missed(monkeypatch: pytest.MonkeyPatch, hole: str) -> None:
    """By its name; here nothing refuses such pods, but all get limits."""
    monkeypatch.setattr(Case, "attack", without(Case.attack, hole))
    monkeypatch.setattr(limits, "_lacking", lambda _: [])
    judge = Judge(("server", "namespace", "guise", "container", "without"))
    stack = _stack(Resource("urn", "kubernetes:core/v1:Namespace", "ours"))
    limits.test_adm_limits(judge, cast("Cluster", _Bounded()), stack, {})
    verdict, why = judge.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert hole in why.partition("not tried: ")[2]


@pytest.mark.parametrize(
    ("allowed", "cases", "left"),
    [
        ({"small": "an agent"}, ["namespace large"], True),
        ({"Namespace large": "an agent"}, ["namespace small"], True),
        ({"small:hostPath": "reads logs"}, ["namespace small", "namespace large"], False),
        ({"small": "a", "large": "b"}, [], False),
    ],
)
def test_a_namespace_or_one_check_of_it_may_be_excepted(
    monkeypatch: pytest.MonkeyPatch, allowed: dict[str, str], cases: list[str], left: bool
) -> None:
    """Nothing else is: the other namespaces, and the other checks, are judged."""
    judge, _ = _psa(monkeypatch, "small", "large", allowed=allowed)
    assert cases == [case.name.partition(" (")[0] for case in judge.cases]
    paths = [each for each in judge.attacks if each.what.startswith("hostPath:") and "small" in each.case]
    assert bool(paths) is (left and "namespace small" in cases)
    assert all(f"{subject} is declared" in " ".join(judge.notes) for subject in allowed)
    if not cases:
        assert (Verdict.NOT_APPLICABLE, "the stack has no namespace that is not declared") == judge.verdict()
    elif not left:
        assert any("hostPath" in each.what and "large" in each.case for each in judge.attacks)
        assert any("hostPort" in each.what and "small" in each.case for each in judge.attacks)


def test_a_pinned_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be why a compliant pod is refused."""
    judge, _ = _psa(monkeypatch, "small", "large")
    named = [each.what for each in judge.positives if each.what.startswith("a compliant pod")]
    assert [
        "a compliant pod is let in",
        f"a compliant pod is let in (the namespace pins {ENFORCE}-version: v1.20)",
    ] == named
    pinned = [each for each in judge.attacks if each.case.startswith("namespace large") and " as " not in each.what]
    assert pinned
    assert all("-version: v1.20" in each.what for each in pinned), "a check that came later lets a pod in"


_LIVE: dict[str, Any] = {
    "metadata": {"name": "x-0"},
    "spec": {"containers": [{"name": "shop"}, {"name": "sidecar"}]},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize("live", [[], [_LIVE]], ids=["no-pod", "live-pod"])
def test_where_no_twin_may_stand_a_live_pod_is_offered_images(
    monkeypatch: pytest.MonkeyPatch, live: list[dict[str, Any]]
) -> None:
    """As dry runs. Without one it is one case: the other namespaces are judged; what the offers showed of this one stays."""
    refused = "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no"

    def offered(_cluster: object, _path: str, manifest: Any, **_: Any) -> tuple[Evidence, Any]:
        spec = manifest["spec"]
        own = all(each["image"] == "python:3.13" for each in (*spec["containers"], *spec.get("initContainers", ())))
        return evidence(Outcome.HTTP, status=201 if own else 403, detail="" if own else refused), {}

    def twin(workload: Workload) -> Pod:
        if workload.namespace == "web":
            raise ProbeError("pod web/t: is not running")
        return Pod(PodVantage(cast("Cluster", None), "shop", "twin", "probe", POD), "uid", "nonce")

    monkeypatch.setattr(registry, "offered", offered)
    changed: list[object] = []
    monkeypatch.setattr(registry, "_change", lambda *told: changed.append(told[-1]))
    monkeypatch.setattr(registry, "room_in", lambda *_: {})
    monkeypatch.setattr(registry, "pods_of", lambda *_: live)
    names = ("web", "shop")
    workloads = tuple(Workload("Deployment", name, "x", {}, {}, {}) for name in names)
    stack = type("S", (), {"deployed": True, "pod_namespaces": names, "workloads": lambda _: workloads})()
    judge = Judge()
    registry.test_sup_registry(judge, cast("Cluster", _Bounded()), cast("Stack", stack), twin, {})
    assert [Verdict.HELD if live else Verdict.INCONCLUSIVE, Verdict.HELD] == [one.verdict()[0] for one in judge.cases]
    assert ("is not running" in judge.verdict()[1]) is not bool(live)
    twins = ("/api/v1/namespaces/shop/pods/twin", "probe")
    assert [*([("/api/v1/namespaces/web/pods/x-0", "shop")] if live else ()), twins] == changed
