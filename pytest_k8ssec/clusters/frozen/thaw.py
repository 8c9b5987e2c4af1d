"""Thaw a frozen cluster: start a copy of each node, with keys, certificates and addresses of its own."""

from __future__ import annotations

import io
import secrets
import socket
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from pytest_k8ssec.clusters import after
from pytest_k8ssec.clusters.bootstrap_tokens import PUBLIC_BOOTSTRAP_TOKEN, SYSTEM_NAMESPACE, TOKEN_TYPE
from pytest_k8ssec.clusters.frozen.freeze import (
    MARK_PLACE,
    PLACE,
    WORKDIR_PLACE,
    side_by_side,
)
from pytest_k8ssec.clusters.frozen.shelf import FrozenCluster, FrozenNode, Token
from pytest_k8ssec.clusters.frozen.variant import UNCHANGED, Variant
from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.kind import KindCluster, is_ready
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.kubeconfigs import ADMIN_FILE, as_kind_names, published
from pytest_k8ssec.errors import ClusterError, CommandError, K8ssecError
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.recorder import attend
from pytest_k8ssec.machine.tools import Image
from pytest_k8ssec.secrecy.redact import register

_SECONDS = 120
_PAUSE = 0.1
_TRIES = 20
_NUDGE_SECONDS = 3
"""Once the API server answers nodes take so long at most, on two idle processors, where nothing goes wrong."""
_LAST_LINES = 5
_TOKEN_HOURS = 24
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_ADMIN = ADMIN_FILE.removeprefix("/")
_CLIENTS = f"{PLACE}/clients".removeprefix("/")
_HANDED_OVER = f"""
until [ -e {PLACE}/renewed ]; do [ ! -e {PLACE}/failed ] || exit 1; sleep 0.05; done
tar --create --directory / {_ADMIN} {_CLIENTS} && rm -f /{_CLIENTS}/*
"""


def thaw_cluster(
    entry: FrozenCluster,
    config: KindConfig,
    owner: Run,
    *,
    name: str,
    workdir: Path,
    probe_image: Image,
    origin: Literal["packaged", "user"],
    variant: str = "",
    changes: Variant = UNCHANGED,
) -> KindCluster:
    """Make a cluster of an entry, and wait until its nodes and what runs on them are ready.

    Args:
        entry: of a cluster that ``config`` describes but for ``changes``; its lock is held.
        owner: the run whose ledger has each container before it starts.
        name: the cluster's.
        workdir: private and empty; what is mounted into the nodes comes from there.
        variant: name of the sabotage that ``config`` carries, "" for none.

    Raises:
        CannotThaw: the changes can't be made; nothing was begun.
        ClusterError, CommandError, ProbeError: it does not get ready; nothing is left behind then.
    """
    files = [changes.files(node) for node in entry.nodes]  # first of all, as nothing is there yet
    config.write(workdir, name)
    cluster = KindCluster(name, workdir / "kubeconfig", workdir, True, origin, variant, probe_image, owner)
    attend(owner)
    owner.will_create("cluster", name)
    plane = f"{name}-{entry.nodes[0].suffix}"
    made: list[str] = []
    try:
        made = side_by_side(lambda node: _create(node, cluster, plane), *((node,) for node in entry.nodes))
        for container, changed in zip(made, files, strict=True):
            _change(container, changed)
        side_by_side(
            lambda container: docker.docker("start", container, deadline=_SECONDS, mark=owner.id),
            *((each,) for each in made),
        )
        told = _hand_over(plane, [(node.name, f"{name}-{node.suffix}") for node in entry.nodes[1:]])
        cluster.kubeconfig.touch(mode=0o600)
        cluster.kubeconfig.write_text(as_kind_names(told, name, published(plane)))
        _await_api(cluster)
        _await_nodes(cluster, entry.nodes)
        side_by_side(lambda work: work(), (lambda: _settle(cluster, entry, config),), (lambda: _await_pods(cluster),))
    except BaseException as error:
        if isinstance(error, K8ssecError) and not isinstance(error, docker.DaemonGone):
            error.details = "\n".join(filter(None, (error.details, *map(_said, made))))
        cluster.close()
        raise
    return cluster


def _said(container: str) -> str:
    """What a node's thaw.sh said last, and what of it still runs; "" where that can't be told."""
    look = f"tail -n {_LAST_LINES} {PLACE}/log; pgrep -a 'kubeadm|curl|tar'"
    try:
        told = docker.docker("exec", container, "sh", "-c", look, check=False, deadline=10)
    except CommandError:
        return ""
    return told.text.strip()


def _create(node: FrozenNode, cluster: KindCluster, plane: str) -> str:
    """Make the container of one node, and write its id down before it starts. Returns the id."""
    run = cluster.run
    places = {WORKDIR_PLACE: str(cluster.workdir), MARK_PLACE: str(run.folder(run.mark.name))}
    made = docker.docker(
        "create", "--pull", "never", "--name", f"{cluster.name}-{node.suffix}",
        "--label", f"{docker.KIND_LABEL}={cluster.name}", "--label", f"{docker.KIND_ROLE_LABEL}={node.role}",
        *node.options,
        # As kind does, but nothing is copied into it: thaw.sh does that, and leaves layers of images where they are.
        "--mount", "type=volume,target=/var,volume-nocopy",
        *(word for bind in node.binds for word in ("--volume", _placed(bind, places))),
        *(word for port in node.ports for word in ("--publish", _published(*port))),
        "--entrypoint", "/bin/bash", node.image_id,
        f"{PLACE}/thaw.sh", "first", plane, "/sbin/init",
        mark=run.id, deadline=_SECONDS,
    ).text.strip()  # fmt: skip
    run.made(docker.described([made]))
    return made


def _change(container: str, files: dict[str, str]) -> None:
    """Lay files into a node that has not started, for thaw.sh to put in their places."""
    if not files:
        return
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for place, text in files.items():
            entry = tarfile.TarInfo(f"changed{place}")
            entry.size, entry.mode = len(text.encode()), 0o600
            archive.addfile(entry, io.BytesIO(text.encode()))
    docker.docker("cp", "-", f"{container}:{PLACE}", stdin=written.getvalue())


def _placed(bind: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        if bind.startswith(name):
            return place + bind.removeprefix(name)
    return bind


def _published(address: str, port: str, target: str) -> str:
    """As docker takes it. A port is chosen here, as kind does: one that docker chooses changes at each start."""
    place = f"[{address}]" if ":" in address else address
    return f"{place or '0.0.0.0'}:{port or _free_port(address)}:{target}"  # noqa: S104 - as its configuration says


def _free_port(address: str) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as tried:
        tried.bind((address, 0))
        return int(tried.getsockname()[1])


def _hand_over(plane: str, workers: Iterable[tuple[str, str]]) -> str:
    """Bring each worker the kubelet's certificate that the control plane made for it, and leave it nowhere else.

    Args:
        workers: names of the frozen nodes, and of the containers of their copies.

    Returns:
        the administrator's kubeconfig, as kubeadm made it.
    """
    try:
        taken = docker.docker("exec", plane, "sh", "-c", _HANDED_OVER, deadline=_SECONDS).stdout
    except docker.DaemonGone:
        raise
    except CommandError as error:
        error.details = ""  # what it printed are keys
        raise
    with tarfile.open(fileobj=io.BytesIO(taken)) as archive:
        files = {each.name: file.read() for each in archive if (file := archive.extractfile(each)) is not None}
    take = f"umask 077 && cat >{PLACE}/client.tmp && mv {PLACE}/client.tmp {PLACE}/client.pem"
    side_by_side(
        lambda name, container: docker.docker(
            "exec", "-i", container, "sh", "-c", take, stdin=files[f"{_CLIENTS}/{name}.pem"]
        ),
        *workers,
    )
    return files[_ADMIN].decode()


def _settle(cluster: KindCluster, entry: FrozenCluster, config: KindConfig) -> None:
    """What kind and kubeadm leave in a new cluster, and what its configuration says is done then."""
    for token in entry.tokens:
        cluster.api.create(_secret(token))
    for step in config.after:
        after.STEPS[step](cluster)


def _await_api(cluster: KindCluster) -> None:
    """Wait until the API server is ready.

    Raises:
        ClusterError: it is not, in time.
    """
    end = time.monotonic() + _SECONDS
    while True:
        try:
            if cluster.api.request("GET", "/readyz", deadline=5).ok:
                return
            why = "is not ready"
        except ClusterError as error:  # nothing tells when a port is listened on
            why = error.message
        if time.monotonic() > end:
            raise ClusterError(f"cluster {cluster.name}: its API server: {why} within {_SECONDS} s")
        time.sleep(_PAUSE)


def _await_nodes(cluster: KindCluster, frozen: tuple[FrozenNode, ...]) -> None:
    """Wait until all nodes are ready, and are the copies: what the API says of the frozen ones looks ready too.

    Raises:
        ClusterError: some are not, in time.
    """
    waiting = {node.name: node.machine_id for node in frozen}
    end = time.monotonic() + _SECONDS
    while waiting:
        for _, node in cluster.api.watch("/api/v1/nodes", deadline=_NUDGE_SECONDS):
            own = node.get("status", {}).get("nodeInfo", {}).get("machineID") != waiting.get(node["metadata"]["name"])
            if own and is_ready(node):
                waiting.pop(node["metadata"]["name"], None)
            if not waiting:
                break
        else:
            if time.monotonic() > end:
                raise ClusterError(f"cluster {cluster.name}: nodes not ready within {_SECONDS} s: {', '.join(waiting)}")
            with suppress(ClusterError):  # it hurries, and no more
                _nudge(cluster)
    if len(cluster.nodes) != len(frozen):
        raise ClusterError(f"cluster {cluster.name}: has {len(cluster.nodes)} nodes, not {len(frozen)}")


def _nudge(cluster: KindCluster) -> None:
    """Have kubelets try again to start what has not started: by itself each does so after 10 s and more.

    In one of twelve copies a pod fails once, for a reason that is gone at once: the kubelet has not read any Service yet, or,
    with cgroup v1, systemd takes away an empty folder of `devices` just when the pod's own is to be made in it.
    """
    for pod in cluster.api.list("/api/v1/pods", fieldSelector="status.phase=Pending,spec.nodeName!="):
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        for value in ("now", None):  # any change of it is looked at, and this one leaves nothing behind
            _annotate(cluster, path, value)


def _await_pods(cluster: KindCluster) -> None:
    """Wait until what was there is there again: the network's pods, which enforce policies, and DNS.

    Raises:
        ClusterError: something is not ready in time.
    """
    wanted = dict(_wanted(cluster))
    ready: dict[str, str] = {}
    for event, pod in cluster.api.watch("/api/v1/pods", deadline=_SECONDS):
        owners = pod["metadata"].get("ownerReferences") or [{}]
        ready.pop(pod["metadata"]["uid"], None)
        if event != "DELETED" and _serves(pod):
            ready[pod["metadata"]["uid"]] = owners[0].get("uid", "")
        counted = list(ready.values())
        if all(counted.count(owner) >= count for owner, (_, count) in wanted.items()):
            return
    counted = list(ready.values())
    late = [name for owner, (name, count) in wanted.items() if counted.count(owner) < count]
    raise ClusterError(f"cluster {cluster.name}: not ready within {_SECONDS} s: {', '.join(late)}")


def _annotate(cluster: KindCluster, path: str, value: str | None) -> None:
    """Set the annotation, or take it away. What can't be set hurries nobody; what was set is taken away for sure."""
    body = {"metadata": {"annotations": {"k8ssec/start": value}}}
    for _ in range(1 if value else _TRIES):
        with suppress(ClusterError):
            answer = cluster.api.request("PATCH", path, body=body, headers=MERGE_PATCH)
            if answer.ok or answer.status == HTTPStatus.NOT_FOUND:
                return
        time.sleep(_PAUSE)  # nothing tells when a server that is busy is not any more


def _serves(pod: dict[str, Any]) -> bool:
    """Whether a pod is ready. Where nothing is asked of it, it is once its containers run; a kubelet may say so 4 s later.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes
    """
    if is_ready(pod):
        return True
    containers = pod["spec"]["containers"]
    running = [each for each in pod.get("status", {}).get("containerStatuses", []) if "running" in each["state"]]
    asked = any(each.keys() & {"readinessProbe", "startupProbe"} for each in containers)
    return len(running) == len(containers) and not asked and not pod["spec"].get("readinessGates")


def _wanted(cluster: KindCluster) -> Iterator[tuple[str, tuple[str, int]]]:
    """Owner of pods, by its uid, to its name and how many pods it needs: each node's of a DaemonSet, one of others."""
    for plural, count in (("daemonsets", _scheduled), ("replicasets", _replicas)):
        for item in cluster.api.list(f"/apis/apps/v1/{plural}"):
            if number := count(item):
                meta = item["metadata"]
                yield meta["uid"], (f"{meta['namespace']}/{meta['name']}", number)


def _scheduled(daemons: dict[str, Any]) -> int:
    return int(daemons["status"]["desiredNumberScheduled"])


def _replicas(replicas: dict[str, Any]) -> int:
    return min(1, int(replicas["spec"]["replicas"]))  # no Service leads to those that are not ready


def _secret(token: Token) -> dict[str, Any]:
    """A bootstrap token as there was one, with an id and a secret of its own where it was not the public one."""
    name, _, secret = PUBLIC_BOOTSTRAP_TOKEN.partition(".")
    if not token.public:
        name, secret = (register("".join(secrets.choice(_LETTERS) for _ in range(size))) for size in (6, 16))
    expiration = datetime.now(UTC) + timedelta(hours=_TOKEN_HOURS)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"bootstrap-token-{name}", "namespace": SYSTEM_NAMESPACE},
        "type": TOKEN_TYPE,
        "stringData": {
            **token.fields,
            "token-id": name,
            "token-secret": secret,
            "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }
