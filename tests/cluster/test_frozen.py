"""Frozen clusters: what two copies share, that kind knows them, and that a kill leaves nothing behind."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import secrets
import signal
import tarfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from pytest_k8ssec.clusters import sweep
from pytest_k8ssec.clusters.frozen import shelf, strays
from pytest_k8ssec.clusters.frozen.key import key_of
from pytest_k8ssec.clusters.frozen.supply import Order, supply
from pytest_k8ssec.clusters.kind import KindCluster, is_ready
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.machine import docker, tools
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.process import run as run_command
from tests.cluster.harness import Place, assert_nothing_comes, everything

PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END", re.DOTALL)
EMBEDDED = re.compile(rb"client-key-data: (\S+)")
CAS = {"/etc/kubernetes/pki/ca.key", "/etc/kubernetes/pki/etcd/ca.key", "/etc/kubernetes/pki/front-proxy-ca.key"}

ASK_DNS = """
import socket, sys
name = b"".join(bytes([len(part)]) + part.encode() for part in "kubernetes.default.svc.cluster.local".split("."))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    asked.settimeout(1)
    for _ in range(5):  # what comes before kube-proxy knows the address is lost
        asked.sendto(bytes.fromhex("123401000001000000000000") + name + bytes.fromhex("0000010001"), (sys.argv[1], 53))
        try:
            answer = asked.recv(512)
            break
        except TimeoutError:
            pass
print("answered" if answer[3] & 15 == 0 and answer[7] else "refused")
"""

READY_SECONDS = 30

TEST = """
def test_it(cluster):
    assert cluster.nodes
"""


@pytest.fixture(scope="module")
def copies() -> Iterator[tuple[KindCluster, KindCluster]]:
    """Two copies of the packaged cluster, side by side."""
    runs = [Run.begin(docker=docker.endpoint()) for _ in range(2)]
    said: list[str] = []
    try:
        made = []
        for run in runs:
            run.uses(docker.endpoint(), docker.daemon())
            order = Order(
                KindConfig.load(PACKAGED), run, tools.find_tool("kind"), tools.node_image(), tools.probe_image(),
                "packaged", "", said.append,
            )  # fmt: skip
            made.append(supply(order))
        assert 2 == len([line for line in said if line.startswith("thawing")]), said
        yield made[0], made[1]
    finally:
        for run in runs:
            sweep.remove_recorded(run)
            run.end()


def private_keys(cluster: KindCluster) -> dict[str, set[str]]:
    """Digest of each private key on the nodes, to where it is."""
    found: dict[str, set[str]] = {}
    for node in cluster.nodes:
        script = (
            "grep -rlIZE 'PRIVATE KEY|client-key-data' /etc/kubernetes /var/lib/kubelet /var/lib/etcd /kind 2>/dev/null"
            " | xargs -0 tar c 2>/dev/null | base64 -w0"
        )
        told = cluster.on_node(node, ["bash", "-c", script], deadline=60).stdout
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(told))) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                content = file.read() if file else b""
                keys = [*PRIVATE.findall(content), *EMBEDDED.findall(content)]
                for key in keys:
                    found.setdefault(hashlib.sha256(key).hexdigest(), set()).add(f"/{member.name}")
    return found


def text(cluster: KindCluster, file: str) -> list[str]:
    """What a file says on each node."""
    return [cluster.on_node(node, ["cat", file]).text for node in cluster.nodes]


def test_only_the_keys_of_the_cas_are_shared(copies: tuple[KindCluster, KindCluster]) -> None:
    """Of all private keys on the nodes, among them the administrator's, the kubelets' and the service accounts'."""
    one, two = map(private_keys, copies)
    assert CAS == {place for key in one.keys() & two.keys() for place in one[key]}
    places = {place for each in one.values() for place in each}
    assert CAS | {"/etc/kubernetes/admin.conf", "/etc/kubernetes/pki/sa.key"} < places
    assert any(place.startswith("/var/lib/kubelet/pki/kubelet-client-") for place in places)


@pytest.mark.parametrize("file", ["/etc/machine-id", "/kind/product_uuid"])
def test_machine_ids_differ(copies: tuple[KindCluster, KindCluster], file: str) -> None:
    """Between copies, and between the nodes of one."""
    ids = [*text(copies[0], file), *text(copies[1], file)]
    assert len(ids) == len(set(ids)) == 4


def test_encryption_keys_differ_and_are_used(copies: tuple[KindCluster, KindCluster]) -> None:
    """A Secret that is written is stored encrypted, and read again."""
    file = "/etc/kubernetes/hardening/encryption.yaml"
    keys = [copy.on_node(copy.nodes[0], ["cat", file]).text for copy in copies]
    assert keys[0] != keys[1]
    assert "${random" not in keys[0]
    for copy in copies:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept", "namespace": "default"}}
        copy.api.create({**secret, "stringData": {"a": "in-plain-text"}})
        assert copy.api.get("/api/v1/namespaces/default/secrets/kept")["data"]
        raw = copy.on_node(copy.nodes[0], ["grep", "-rac", "in-plain-text", "/var/lib/etcd"], check=False).text
        assert {"0"} == {line.rpartition(":")[2] for line in raw.split()}


def test_a_service_account_of_one_is_nobody_in_the_other(copies: tuple[KindCluster, KindCluster]) -> None:
    """Its token is signed with a key of that copy alone."""
    one, two = copies
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    token = one.api.call("POST", path, body=request)["status"]["token"]
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    assert [201, 401] == [copy.api.request("POST", review, body=body, token=token).status for copy in (one, two)]


def test_nothing_of_the_frozen_one_is_left(copies: tuple[KindCluster, KindCluster]) -> None:
    """No bootstrap token, no other address of the API server, and no pod that ran before."""
    for copy in copies:
        assert [] == copy.api.list(
            "/api/v1/namespaces/kube-system/secrets", fieldSelector="type=bootstrap.kubernetes.io/token"
        )
        slice_ = copy.api.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")
        assert [[copy.nodes[0].address]] == [each["addresses"] for each in slice_["endpoints"]]
        served = {node.container for node in copy.nodes}
        assert len(served) == 2
        began = datetime.fromisoformat(
            docker.docker("inspect", "--format", "{{.Created}}", copy.nodes[0].container).text.strip()
        )
        for pod in copy.api.list("/api/v1/pods"):
            assert datetime.fromisoformat(pod["status"]["startTime"]) >= began.replace(microsecond=0)
            assert 0 == sum(each["restartCount"] for each in pod["status"]["containerStatuses"])


def test_kubelets_serve_with_certificates_for_their_own_addresses(copies: tuple[KindCluster, KindCluster]) -> None:
    """They asked for them before the API said anything of the copy's addresses."""
    for copy in copies:
        for node in copy.nodes:
            file = "/var/lib/kubelet/pki/kubelet-server-current.pem"
            told = copy.on_node(node, ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", file]).text
            assert f"IP Address:{node.address}" in told, told


def test_an_image_of_it_holds_the_keys_of_the_cas_only(copies: tuple[KindCluster, KindCluster]) -> None:
    """What a copy needs anew was deleted before the image was made."""
    image = docker.docker("inspect", "--format", "{{.Image}}", copies[0].nodes[0].container).text.strip()
    told = docker.docker(
        "run", "--rm", "--network", "none", "--entrypoint", "grep", image,
        "-rlE", "PRIVATE KEY|client-key-data", "/etc/kubernetes", "/var/lib/kubelet", "/var/lib/etcd", "/kind",
        check=False, deadline=60,
    ).text.split()  # fmt: skip
    assert CAS == {each for each in told if not each.endswith(".sh")}


def test_an_image_of_it_says_whose_it_is(copies: tuple[KindCluster, KindCluster]) -> None:
    """So that it can be found when nothing else names it."""
    image = docker.docker("inspect", "--format", "{{.Image}}", copies[0].nodes[0].container).text.strip()
    labels = json.loads(docker.docker("image", "inspect", "--format", "{{json .Config.Labels}}", image).text)
    assert strays.this_cache() == labels[strays.CACHE_LABEL]
    assert (shelf.folder() / f"{labels[shelf.FROZEN_LABEL]}.json").exists()


def test_kinds_own_commands_know_it(copies: tuple[KindCluster, KindCluster], tmp_path: Path) -> None:
    """The user may look at a cluster that was kept, or remove it."""
    copy = copies[0]
    binary = str(tools.find_tool("kind").path)

    def kind(*arguments: str) -> str:
        return run_command([binary, *arguments, "--name", copy.name], deadline=120).text

    assert {node.container for node in copy.nodes} == set(kind("get", "nodes").split())
    assert copy.api.server in kind("get", "kubeconfig")
    kind("export", "logs", str(tmp_path))
    assert (tmp_path / copy.nodes[1].container / "kubelet.log").stat().st_size
    kind("load", "docker-image", "--nodes", copy.nodes[1].container, tools.probe_image().reference)


def test_dns_answers_and_the_networks_pods_are_ready(copies: tuple[KindCluster, KindCluster]) -> None:
    """From each node, by the address of the Service; whatever enforces policies runs on each node."""
    for copy in copies:
        address = copy.api.get("/api/v1/namespaces/kube-system/services/kube-dns")["spec"]["clusterIP"]
        for node in copy.nodes:
            answer = copy.in_network_of(node, ["python3", "-c", ASK_DNS, address])
            assert "answered" in answer.text, answer.errors
        for daemons in copy.api.list("/apis/apps/v1/daemonsets"):
            assert 2 == daemons["status"]["desiredNumberScheduled"]
        end = time.monotonic() + READY_SECONDS
        while ready_daemons(copy) != 4:
            assert time.monotonic() < end
            time.sleep(0.2)  # a kubelet may say so some seconds after it is so


def ready_daemons(copy: KindCluster) -> int:
    """How many pods of DaemonSets the API calls ready."""
    pods = copy.api.list("/api/v1/namespaces/kube-system/pods")
    owned = [pod for pod in pods if pod["metadata"].get("ownerReferences", [{}])[0].get("kind") == "DaemonSet"]
    return sum(is_ready(pod) for pod in owned)


def test_nodes_have_the_taints_of_a_new_cluster(copies: tuple[KindCluster, KindCluster]) -> None:
    """Else pods would go where they would not go otherwise."""
    for copy in copies:
        taints = [node["spec"].get("taints") or [] for node in copy.api.list("/api/v1/nodes")]
        keys = sorted(taint["key"] for each in taints for taint in each if taint["effect"] == "NoSchedule")
        assert ["node-role.kubernetes.io/control-plane"] == keys


def images(run: str) -> list[str]:
    """The images that a run made of nodes."""
    told = docker.docker("images", "--format", "{{.Repository}}:{{.Tag}}", shelf.REPOSITORY).text.split()
    return [image for image in told if f"-{run}-" in image]


@pytest.mark.parametrize("moment", ["freezing", "thawing"])
def test_a_kill_leaves_nothing(place: Place, untouched: None, moment: str) -> None:
    """While it is frozen: no half-made entry and no image; while it is thawed: no container, and the entry is used again."""
    label = f"k8ssec.dev/{secrets.token_hex(4)}"
    place.file("kind.yaml", f"kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- labels: {{{label}: x}}\n")
    place.file("test_it.py", TEST)
    config = KindConfig.load(place.kind_config)
    key = key_of(config, tool=tools.find_tool("kind"), node_image=tools.node_image(), probe_image=tools.probe_image())
    options = ("--k8ssec-kind-config", str(place.kind_config))
    try:
        killed = place.pytest(*options, environ={"K8SSEC_FRESH": "0"})
        killed.until(lambda: f"s  {moment} cluster" in killed.output, moment)
        killed.send(signal.SIGKILL)
        killed.end()
        names, run = everything(place), place.run()
        assert run is not None
        swept = place.k8ssec("sweep")
        assert 0 == swept.end(), swept.output
        assert_nothing_comes(place, names)
        volumes = {volume for each in run.made for volume in each.volumes}
        assert volumes
        assert not volumes & set(docker.docker("volume", "ls", "--quiet").text.split())
        assert (1 if moment == "thawing" else 0) == len(images(run.run.id))
        assert (moment == "thawing") == (shelf.take_from(key) is not None)
        again = place.pytest(*options, environ={"K8SSEC_FRESH": "0"})
        assert 0 == again.end(), again.output
        assert ("creating kind cluster" in again.output) == (moment == "freezing")
    finally:
        if entry := shelf.take_from(key):
            shelf.remove(entry)
