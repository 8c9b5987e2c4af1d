"""A kind cluster's kubeconfig, as kind gives it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import yaml

from pytest_k8ssec.clusters.kubeconfigs import as_kind_names, kubeconfig_of, published
from pytest_k8ssec.errors import ClusterError, CommandError
from pytest_k8ssec.machine import docker

KUBEADM = """
apiVersion: v1
kind: Config
clusters: [{name: dev, cluster: {certificate-authority-data: Q0E=, server: "https://dev-control-plane:6443"}}]
contexts: [{name: kubernetes-admin@dev, context: {cluster: dev, user: kubernetes-admin}}]
current-context: kubernetes-admin@dev
users: [{name: kubernetes-admin, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]
"""


PORTS = json.dumps({"80/tcp": None, "6443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "34001"}]})


def test_names_and_address_are_kinds() -> None:
    """What it says of certificates and keys stays."""
    told = yaml.safe_load(as_kind_names(KUBEADM, "dev", "127.0.0.1:34001"))
    assert "kind-dev" == told["current-context"]
    assert [{"name": "kind-dev", "context": {"cluster": "kind-dev", "user": "kind-dev"}}] == told["contexts"]
    cluster = {"certificate-authority-data": "Q0E=", "server": "https://127.0.0.1:34001"}
    assert [{"name": "kind-dev", "cluster": cluster}] == told["clusters"]
    user = {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}
    assert [{"name": "kind-dev", "user": user}] == told["users"]


@pytest.mark.parametrize(
    ("roles", "ports", "known"),
    [
        (["control-plane", "worker"], PORTS, True),
        (["control-plane", "control-plane", "external-load-balancer"], PORTS, False),
        (["control-plane", "control-plane"], PORTS, False),
        (["worker"], PORTS, False),
        ([], PORTS, False),
        (["control-plane"], "null", False),
        (["control-plane"], '{"6443/tcp": null}', False),
        (["control-plane"], CommandError("is not running"), False),
    ],
)
def test_only_that_of_a_lone_control_plane_is_known(
    monkeypatch: pytest.MonkeyPatch, roles: list[str], ports: str | CommandError, known: bool
) -> None:
    """Whatever else there is, kind says it."""
    nodes = [
        docker.DockerContainer(f"id{number}", "n", 0, {docker.KIND_ROLE_LABEL: role}, (), ())
        for number, role in enumerate(roles)
    ]

    def answer(*arguments: str) -> SimpleNamespace:
        if isinstance(ports, CommandError):
            raise ports
        return SimpleNamespace(text=ports if arguments[0] == "inspect" else KUBEADM)

    monkeypatch.setattr(docker, "of_cluster", lambda _name: nodes)
    monkeypatch.setattr(docker, "described", lambda _ids: nodes)
    monkeypatch.setattr(docker, "docker", answer)
    assert known == bool(told := kubeconfig_of("dev"))
    assert not known or "https://0.0.0.0:34001" == yaml.safe_load(told)["clusters"][0]["cluster"]["server"]


def test_a_daemon_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the cluster that lacks something."""
    node = docker.DockerContainer("id", "n", 0, {docker.KIND_ROLE_LABEL: "control-plane"}, (), ())

    def gone(*_arguments: str) -> None:
        raise docker.DaemonGone("none answers")

    monkeypatch.setattr(docker, "of_cluster", lambda _name: [node])
    monkeypatch.setattr(docker, "described", lambda _ids: [node])
    monkeypatch.setattr(docker, "docker", gone)
    with pytest.raises(docker.DaemonGone):
        kubeconfig_of("dev")


@pytest.mark.parametrize(
    "told",
    [
        "",
        "clusters: [",
        "secret",
        KUBEADM.replace("current-context: kubernetes-admin@dev", "current-context: another"),
        KUBEADM.replace("user: kubernetes-admin}", "user: nobody}"),
        KUBEADM.replace("name: dev,", ""),
        "clusters: 7",
    ],
)
def test_what_is_no_kubeconfig_is_an_error_without_its_words(told: str) -> None:
    """They may be a key's."""
    with pytest.raises(
        ClusterError, match=r"^cluster dev: the administrator's kubeconfig of its control plane is none$"
    ):
        as_kind_names(told, "dev", "127.0.0.1:1")


def test_what_counts_is_the_current_context() -> None:
    """Somebody may have added another user on the node."""
    further = KUBEADM.replace("users: [", "users: [{name: me, user: {token: t}}, ")
    assert as_kind_names(KUBEADM, "dev", "127.0.0.1:1") == as_kind_names(further, "dev", "127.0.0.1:1")


def test_an_address_of_ipv6_has_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its port would be a part of it."""
    ports = json.dumps({"6443/tcp": [{"HostIp": "::1", "HostPort": "34001"}]})
    monkeypatch.setattr(docker, "docker", lambda *_: SimpleNamespace(text=ports))
    assert "[::1]:34001" == published("x")
