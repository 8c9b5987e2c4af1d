"""Runs parts of a node with other settings for a while, on a running cluster."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import yaml

from pytest_k8ssec.agent.tasks import host_and_port
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import K8ssecError, NotUndone, SabotageError
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.facts.node import OWN, argument_evidence, arguments
from pytest_k8ssec.probes.kubelets import configured

API_SERVER_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_ETCD = "/etc/kubernetes/manifests/etcd.yaml"
_KUBELET = "/var/lib/kubelet/config.yaml"
_SECONDS = 120
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
_LEADERS = ("kube-scheduler", "kube-controller-manager")
Told = TypeVar("Told")


@contextmanager
def rewritten(cluster: Cluster, node: Node, path: str, change: Callable[[str], str]) -> Iterator[None]:
    """Change a file of a node, and put it back in every ending.

    Raises:
        SabotageError: the change changes nothing.
        ProbeError: the node could not be asked.
    """
    before = cluster.on_node(node, ["cat", path]).stdout
    changed = change(before.decode()).encode()
    if changed == before:
        raise SabotageError(f"node {node.name}: {path} has nothing that this change would alter")
    try:
        # Within: what is given up for its deadline may have been written.
        cluster.on_node(node, ["tee", path], stdin=changed)
        yield
    finally:
        with _undoing():
            cluster.on_node(node, ["tee", path], stdin=before)
            if cluster.on_node(node, ["cat", path]).stdout != before:
                raise SabotageError(f"node {node.name}: {path} is not what it was")


@contextmanager
def _undoing() -> Iterator[None]:
    """Whatever fails in here leaves the node as it must not stay. Raises NotUndone."""
    try:
        yield
    except K8ssecError as error:
        raise NotUndone(error.message, details=error.details) from error


@contextmanager
def kubelet_open(cluster: Cluster, node: Node) -> Iterator[Evidence]:
    """For a while, a node's kubelet accepts anonymous requests and authorizes all of them.

    Yields:
        the evidence that it runs so.

    Raises:
        SabotageError: it does not, or still does afterwards.
    """

    def change(text: str) -> str:
        config = yaml.safe_load(text)
        config["authentication"]["anonymous"]["enabled"] = True
        config["authorization"]["mode"] = "AlwaysAllow"
        return yaml.safe_dump(config)

    def runs(*, anonymous: bool) -> Evidence:
        cluster.on_node(node, ["systemctl", "restart", "kubelet"], deadline=60)

        def told() -> Evidence | None:
            enabled, evidence = configured(cluster, node, "authentication", "anonymous", "enabled")
            return evidence if enabled is anonymous else None

        return until(f"kubelet on {node.name}: anonymous requests are not {'on' if anonymous else 'off'}", told)

    try:
        with rewritten(cluster, node, _KUBELET, change):
            yield runs(anonymous=True)
    finally:
        with _undoing():
            runs(anonymous=False)


@contextmanager
def etcd_open(cluster: Cluster, node: Node) -> Iterator[Evidence]:
    """The etcd of a control-plane node asks nobody for a certificate, at its node's address too, for a while.

    Yields:
        the evidence that it runs so.

    Raises:
        SabotageError: it does not, or still does afterwards.
    """

    def change(text: str) -> str:
        manifest = yaml.safe_load(text)
        flags = {
            "client-cert-auth": "false",
            "trusted-ca-file": "",
            "listen-client-urls": f"https://127.0.0.1:2379,https://{host_and_port(node.address, 2379)}",
        }
        command = manifest["spec"]["containers"][0]["command"]
        kept = [word for word in command if word.removeprefix("--").partition("=")[0] not in flags]
        manifest["spec"]["containers"][0]["command"] = kept + [f"--{name}={value}" for name, value in flags.items()]
        return yaml.safe_dump(manifest)

    def runs(*, checks: bool) -> Evidence:
        start_anew(cluster, node, "etcd")

        def told() -> Evidence | None:
            if (arguments(cluster, node, "etcd").get("client-cert-auth") == "true") is not checks:
                return None
            answer = cluster.api.request("GET", "/readyz")
            return (
                argument_evidence(cluster, node, "etcd", "client-cert-auth", "listen-client-urls")
                if answer.ok
                else None
            )

        return until(f"etcd on {node.name}: does not run {'with' if checks else 'without'} client-cert-auth", told)

    try:
        with rewritten(cluster, node, _ETCD, change):
            proof = runs(checks=False)
            await_leaders(cluster)
            yield proof
    finally:
        with _undoing():
            runs(checks=True)
            await_leaders(cluster)


def start_anew(cluster: Cluster, node: Node, process: str) -> None:
    """Let the kubelet of a control-plane node start a process from its changed manifest, in seconds.

    A kubelet left to itself takes a minute or two: before it starts the new pod it asks the API server to delete the
    old one's mirror, and an API server without etcd answers only after a timeout. So the API server is killed too,
    which then refuses at once, and the kubelet is restarted: it then knows of no mirror, and of no crash whose back-off
    it would have to wait for.

    Raises:
        ProbeError: the node could not be asked.
    """
    # In one go, before the old kubelet starts again what was ended.
    own = shlex.join(OWN)
    steps = f"pkill -KILL {own} kube-apiserver; pkill {own} {process}; systemctl restart kubelet"
    cluster.on_node(node, ["sh", "-c", steps], deadline=60)


def await_leaders(cluster: Cluster) -> None:
    """Wait until the scheduler and the controllers work: they may have lost their leases meanwhile.

    Raises:
        SabotageError: they don't in time.
    """

    def renewed() -> dict[str, str] | None:
        times = {name: str(cluster.api.get(f"{_LEASES}/{name}")["spec"].get("renewTime")) for name in _LEADERS}
        return times if all(times[name] != first.get(name) for name in _LEADERS) else None

    first: dict[str, str] = {}
    first = until("scheduler and controllers: have no leases", renewed)
    until("scheduler and controllers: do not renew their leases", renewed)


def until(what: str, ask: Callable[[], Told | None]) -> Told:
    """Ask until there is an answer; a server that is being restarted may refuse meanwhile.

    Raises:
        SabotageError: there was none in time.
    """
    end, last = time.monotonic() + _SECONDS, ""
    while time.monotonic() < end:
        try:
            if (answer := ask()) is not None:
                return answer
        except K8ssecError as error:
            last = f": {error.message}"
        time.sleep(0.5)
    raise SabotageError(f"{what} after {_SECONDS} s{last}")
