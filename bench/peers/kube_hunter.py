"""kube-hunter: from outside, from a node's network, and from pods.

It is always told exact addresses: without them it scans a /24. Whatever else it would ask over HTTP (which cloud an
address belongs to, of a service on the internet) is sent to a proxy that is not there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.fetch import packages
from bench.peers.interface import About, Report
from bench.places import TOOLS, Foothold, Place
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.errors import CommandError, ProbeError
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.process import Completed, run
from pytest_k8ssec.machine.recorder import attend

_NAME = "kube-hunter"
_SECONDS = 120
_FLAGS = ("--active", "--report", "json", "--log", "none", "--num-worker-threads", "50")
_NOWHERE = "http://127.0.0.1:9"
_IN_POD = (
    'read -r token; export PYTHONPATH="$0" PYTHONDONTWRITEBYTECODE=1; exec python3 -m kube_hunter "$@" '
    '${token:+--service-account-token "$token"}'
)


class KubeHunter:
    """See :class:`bench.peers.interface.Peer`."""

    @property
    def about(self) -> About:
        """See :class:`bench.peers.interface.Peer`."""
        return About(
            _NAME,
            packages(_NAME).version,
            "hunts for weaknesses from outside, from a node's network and from within pods; active hunting is on",
            (
                "In pods it is given the token of the account that the sabotages of RBAC favour, as if found there.",
                (
                    "Its search of whole subnets is off (it is told each address), and so is its question to the "
                    "internet which cloud an address belongs to."
                ),
            ),
        )

    def fetch(self) -> None:
        """See :class:`bench.peers.interface.Peer`."""
        packages(_NAME).build()

    def run(self, place: Place) -> Report:
        """From each place in turn, but from all pods at once: there it mostly waits for what does not answer."""
        started = time.monotonic()
        token = _token(place)
        footholds = place.footholds()
        for foothold in footholds:
            place.give(foothold, packages(_NAME).path, _NAME)
        given = time.monotonic()
        reports = [_outside(place), _on_node(place, place.cluster.nodes[0])]
        with ThreadPoolExecutor(len(footholds)) as pool:
            # The token is used where the network lets it be: from the bare pod.
            jobs = [pool.submit(_in_pod, place, each, token if each is footholds[0] else "") for each in footholds]
            reports += [job.result() for job in jobs]
        ended = time.monotonic()
        return Report.together(reports, ended - max(given, started))


def read(said: str, where: str) -> frozenset[str]:
    """Findings of a JSON report: vulnerabilities by their number and name, and services that were found.

    Raises:
        ProbeError: it is none.
    """
    start = said.find("{")
    try:
        report = json.loads(said[start:])
        return frozenset(_findings(report, where))
    except (ValueError, KeyError, TypeError) as error:
        raise ProbeError(f"{_NAME} {where}: gave no report", details=said[-2000:]) from error


def _findings(report: dict[str, Any], where: str) -> Iterator[str]:
    for found in report["vulnerabilities"]:
        yield f"{where}: {found['vid']} {found['vulnerability']}{_port(found['location'])}"
    for found in report["services"]:
        yield f"{where}: service {found['service']}{_port(found['location'])}"


def _port(location: str | None) -> str:
    """Without the address, which another cluster would have another of."""
    port = (location or "").partition("/")[0].rpartition(":")[2]
    return f" at port {port}" if port.isdigit() else ""


def _outside(place: Place) -> Report:
    argv = ["--remote", *place.addresses, *_FLAGS]
    env = {"PYTHONPATH": str(packages(_NAME).path), "PATH": "/usr/bin:/bin", **_proxies(place.addresses)}
    try:
        done = run([sys.executable, "-m", "kube_hunter", *argv], deadline=_SECONDS, env=env, check=False)
    except CommandError as error:
        raise ProbeError(f"{_NAME} from outside: {error.message}", details=error.details) from error
    return _report(done, "outside", argv)


def _on_node(place: Place, node: Node) -> Report:
    """In a container of ours that shares the node's network: what somebody with a shell on the node can reach."""
    addresses = ["127.0.0.1", node.address]
    argv = ["--remote", *addresses, *_FLAGS]
    name = f"{place.cluster.name}-{_NAME}"
    attend(place.cluster.run)
    place.cluster.run.will_create("container", name)
    try:
        done = docker.docker(
            "run", "--rm", "--pull", "never", "--name", name, "--label", f"{docker.RUN_LABEL}={place.cluster.run.id}",
            "--network", f"container:{node.container}", "--cap-drop", "ALL", "--read-only",
            "--volume", f"{packages(_NAME).path}:{TOOLS}/{_NAME}:ro",
            "--env", f"PYTHONPATH={TOOLS}/{_NAME}", "--env", "PYTHONDONTWRITEBYTECODE=1",
            *(word for key, value in _proxies(addresses).items() for word in ("--env", f"{key}={value}")),
            "--entrypoint", "python3", place.cluster.image.reference, "-m", "kube_hunter", *argv,
            deadline=_SECONDS, check=False, mark=place.cluster.run.id,
        )  # fmt: skip
    except CommandError as error:
        raise ProbeError(f"{_NAME} on {node.name}: {error.message}", details=error.details) from error
    return _report(done, "on a node", argv)


def _in_pod(place: Place, foothold: Foothold, token: str) -> Report:
    argv = ["--pod", "--remote", *place.addresses, *_FLAGS]
    # It takes a port 6443 for the API server's only at this address. The Service's own would not do: what it tries
    # there besides the Service's port is routed out of the cluster.
    told = {"KUBERNETES_SERVICE_HOST": place.addresses[0], "KUBERNETES_SERVICE_PORT": "6443"}
    settings = [f"{key}={value}" for key, value in (_proxies(place.addresses) | told).items()]
    done = foothold.run(
        ["env", *settings, "sh", "-c", _IN_POD, f"{TOOLS}/{_NAME}", *argv], deadline=_SECONDS, line=token or " "
    )
    return _report(done, foothold.name, [*argv, *(["--service-account-token", "$TOKEN"] if token else [])])


def _report(done: Completed, where: str, argv: list[str]) -> Report:
    said = done.text if "{" in done.text else f"exit code {done.code}\n{done.text}\n{done.errors}"
    return Report(read(said, where), commands=(f"{_NAME} {' '.join(argv)}",))


def _token(place: Place) -> str:
    accounts = place.accounts
    return next((token for name, token in accounts.items() if name.endswith("/default")), next(iter(accounts.values())))


def _proxies(addresses: list[str]) -> dict[str, str]:
    """HTTP goes to these addresses and to no other."""
    return {"http_proxy": _NOWHERE, "https_proxy": _NOWHERE, "no_proxy": ",".join(addresses)}
