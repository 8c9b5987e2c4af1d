"""The containers that a workload really has: those of its live pods, each distinct one, and those of its template.

A template is what the next pod will be. The pods that run now may be others: of before a rollout that waits (``OnDelete``,
a paused one), or changed by admission, by a debugger, by hand. So each live pod counts by its own spec, as a whole: a live
container within the pod-level fields of a template would be a pod that exists nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.facts.container_users import CONTAINER_STATUSES, ContainerUser, group_in_spec, user_in_spec, users_of
from pytest_k8ssec.facts.listening_ports import is_over
from pytest_k8ssec.pods.manifests import by_container
from pytest_k8ssec.stack import Workload, pods_of

OF_POD = " of pod "
"""What stands between a container's name and its pod's."""
_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where the admission plugin mounts it
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
"""The fields of a pod's spec that have containers."""
_OF_A_POD = (
    "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "securityContext", "runtimeClassName",
)  # fmt: skip
_HASHES = ("pod-template-hash", "controller-revision-hash", "pod-template-generation")
_ADDED_LABELS = (
    *_HASHES, "controller-uid", "job-name",
    "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index",
)  # fmt: skip
"""What controllers add to each pod. Source: https://kubernetes.io/docs/reference/labels-annotations-taints/"""
_GENERATED = "kube-api-access-"
"""How the volume's name begins that the admission plugin adds."""


def container_templates(
    cluster: Cluster, workload: Workload, *, nodes: Collection[str] = ()
) -> dict[str, Mapping[str, Any]]:
    """A pod template for each distinct container of a workload, in which that one is the main container.

    That of a live pod is its own spec, on its node, and says as whom the container was started. One that is like its
    template's has the plain name, any other one is ``NAME of pod POD``. A container of the template comes as the template
    has it where no live one is like it.

    Args:
        nodes: if any, what stands on one of these counts for each of them by itself, and what stands elsewhere does not.

    Raises:
        ClusterError: the API server did not answer as it should.
    """
    pods = pods_of(cluster.api, workload)
    live = [pod for pod in pods if not _is_empty(pod) and (not nodes or pod["spec"].get("nodeName") in nodes)]
    live.sort(key=lambda pod: str(pod["spec"].get("nodeName", "")) if nodes else "")
    users = users_of(cluster, pods)
    accounts = _Accounts(cluster, workload.namespace)
    found: dict[str, Mapping[str, Any]] = {}
    likes: dict[str, str] = {}
    for name, template in by_container(workload.template).items():
        found[name] = _with_user(template, _user_of_the_next(template, pods, users))
        likes[name] = _like(template, template["spec"]["containers"][0], None, accounts)
    known: set[tuple[str, str, str, ContainerUser | None]] = set()
    for pod in live:
        for container in _all(pod["spec"]):
            name, user = container["name"], users.get((pod["metadata"].get("uid", ""), container["name"]))
            like = _like(pod, container, workload, accounts)
            key = (pod["spec"].get("nodeName", "") if nodes else "", name, like, user)
            if key in known:
                continue
            known.add(key)
            plain = likes.get(name) == like  # and the first of them: another one was started as somebody else
            likes.pop(name if plain else "", None)
            found[name if plain else f"{name}{OF_POD}{pod['metadata']['name']}"] = _of_pod(pod, container, user)
    return found


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """What a twin of some equal pods is made of."""

    template: Mapping[str, Any]
    nodes: tuple[str, ...] = ()
    """Where these pods stand, each node once; none where there is no live one."""


def pod_templates(cluster: Cluster, workload: Workload) -> dict[str, PodTemplate]:
    """A pod template for each distinct pod of a workload, as its network sees it: by labels, account and network.

    The first has the name "", any other one that of a live pod. Without a live pod it is the workload's template.

    Raises:
        ClusterError: the API server did not answer as it should.
    """
    pods = [pod for pod in pods_of(cluster.api, workload) if not is_over(pod)]
    users = users_of(cluster, pods)
    made: dict[str, Mapping[str, Any]] = {}
    names: dict[tuple[object, ...], str] = {}
    nodes: dict[str, list[str]] = {}
    for pod in pods:
        spec = pod["spec"]
        key = (
            repr(_labels(pod, without=_ADDED_LABELS)),
            spec.get("serviceAccountName", "default"),
            bool(spec.get("hostNetwork")),
        )
        name = names.setdefault(key, "" if not names else f"pod {pod['metadata']['name']}")
        nodes.setdefault(name, []).append(str(spec.get("nodeName", "")))
        if name not in made:
            main = spec["containers"][0]
            made[name] = _of_pod(pod, main, users.get((pod["metadata"].get("uid", ""), main["name"])))
    return {name: PodTemplate(template, tuple(sorted({*nodes[name]} - {""}))) for name, template in made.items()} or {
        "": PodTemplate(_with_user(workload.template, None))
    }


def live_template(cluster: Cluster, workload: Workload) -> Mapping[str, Any]:
    """The first of :func:`pod_templates`: what a twin of the workload is made of. Raises ClusterError."""
    return next(iter(pod_templates(cluster, workload).values())).template


def _all(spec: Body) -> list[Body]:
    return [container for kind in CONTAINERS for container in spec.get(kind) or ()]


def _of_pod(pod: Body, container: Body, user: ContainerUser | None) -> Mapping[str, Any]:
    """A live pod's own spec as a template, with this container in it; what it mounts it says itself, a token too."""
    spec = {key: value for key, value in pod["spec"].items() if key not in CONTAINERS}
    spec |= {"automountServiceAccountToken": False, "containers": [_resolved(container, pod)]}
    return _with_user({"metadata": {"labels": _labels(pod)}, "spec": spec}, user)


def _is_empty(pod: Body) -> bool:
    """Whether nothing of a pod runs any more, nor will: one that is being removed counts until its last container ends."""
    status = pod.get("status", {})
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    states = [each.get("state", {}) for kind in CONTAINER_STATUSES for each in status.get(kind) or ()]
    return bool(pod["metadata"].get("deletionTimestamp")) and not any("running" in state for state in states)


def _user_of_the_next(
    template: Mapping[str, Any], pods: Collection[Body], users: Mapping[tuple[str, str], ContainerUser]
) -> ContainerUser | None:
    """As whom a template's main container will start: as the newest one of its name and image did. None where there is none."""
    main = template["spec"]["containers"][0]
    for pod in sorted(pods, key=lambda each: str(each["metadata"].get("creationTimestamp", "")), reverse=True):
        for container in _all(pod["spec"]):
            user = users.get((pod["metadata"].get("uid", ""), container["name"]))
            if user and (container["name"], container.get("image")) == (main["name"], main.get("image")):
                return user
    return None


def _labels(pod: Body, *, without: Collection[str] = _HASHES) -> dict[str, str]:
    """A pod's labels: policies may select by those that its controller added, too, but for what no one can foresee."""
    labels = pod["metadata"].get("labels") or {}
    return {key: value for key, value in sorted(labels.items()) if key not in without}


def _resolved(container: Body, pod: Body) -> Body:
    """The container with what its variables take from its pod: a twin is called otherwise, and has another address."""
    env = container.get("env")
    if not env:
        return container
    meta, status = pod["metadata"], pod.get("status", {})
    known = {
        "metadata.name": meta.get("name"),
        "metadata.uid": meta.get("uid"),
        "status.podIP": status.get("podIP"),
        "status.hostIP": status.get("hostIP"),
    }

    def told(variable: Body) -> Body:
        path = ((variable.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath", "")
        return {"name": variable["name"], "value": known[path]} if known.get(path) else variable

    return {**container, "env": [told(variable) for variable in env]}


def _with_user(template: Mapping[str, Any], user: ContainerUser | None) -> Mapping[str, Any]:
    """The same template, whose main container says as whom it runs, in what its image would say, and that is known."""
    spec = template["spec"]
    main, *others = spec["containers"]
    told = {}
    if user is not None and not user_in_spec(spec, main):
        told["runAsUser"] = user.uid
    if user is not None and not group_in_spec(spec, main):
        told["runAsGroup"] = user.gid
    if not told:
        return template
    security = {**(main.get("securityContext") or {}), **told}
    return {**template, "spec": {**spec, "containers": [{**main, "securityContext": security}, *others]}}


class _Accounts:
    """Whether a namespace's service accounts have their token mounted, asked once each."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._known: dict[str, bool] = {}

    def mount(self, name: str) -> bool:
        """What holds for a pod that does not say it itself."""
        if name not in self._known:
            path = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{name}"
            said = self._cluster.api.request("GET", path).body.get("automountServiceAccountToken")
            self._known[name] = said is not False
        return self._known[name]


def _like(pod: Mapping[str, Any], container: Mapping[str, Any], live: Workload | None, accounts: _Accounts) -> str:
    """Equal for containers that may do the same; what admission adds to each pod, whatever it is, is left out.

    Args:
        live: the workload of a live pod, None for a template: only a live pod shows whether it has a token.
    """
    spec = pod["spec"]
    volumes = {each["name"]: _volume(each) for each in spec.get("volumes") or ()}
    mounts = container.get("volumeMounts") or ()
    at_token = next((each for each in mounts if each["mountPath"].rstrip("/") == _TOKEN), None)
    token = bool(at_token and at_token["name"].startswith(_GENERATED))
    if live is None and at_token is None:
        said, account = spec.get("automountServiceAccountToken"), spec.get("serviceAccountName") or "default"
        token = said if said is not None else accounts.mount(account)
    mounted = [
        {**each, "name": volumes.get(each["name"], "claim"), "recursiveReadOnly": each.get("recursiveReadOnly")}
        for each in mounts
        if not (token and each is at_token)  # what the admission plugin mounts; anything else there is told as it is
    ]
    devices = [each["devicePath"] for each in container.get("volumeDevices") or ()]
    return repr((
        [spec.get("hostUsers") is not False, *(spec.get(key) or None for key in _OF_A_POD)],
        spec.get("serviceAccountName") or "default",
        sorted((container.get("securityContext") or {}).items()),
        sorted(map(repr, (sorted(each.items(), key=repr) for each in mounted))),
        devices,
        token,
        _secret_variables(container),
        # The image says as whom it starts.
        None if user_in_spec(spec, container) and group_in_spec(spec, container) else container.get("image"),
    ))  # fmt: skip


def _secret_variables(container: Mapping[str, Any]) -> list[str]:
    """Names of the Secrets that its variables are of."""
    single = ((each.get("valueFrom") or {}).get("secretKeyRef") for each in container.get("env") or ())
    whole = (each.get("secretRef") for each in container.get("envFrom") or ())
    return sorted({str(ref.get("name", "")) for ref in (*single, *whole) if ref})


def _volume(volume: Mapping[str, Any]) -> str:
    """What a volume is; claims are alike, as each replica of a StatefulSet has one of its own."""
    return (
        "claim" if "persistentVolumeClaim" in volume else repr(sorted((k, v) for k, v in volume.items() if k != "name"))
    )
