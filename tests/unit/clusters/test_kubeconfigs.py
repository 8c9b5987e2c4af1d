"""A kind cluster's kubeconfig, as kind gives it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from pytest_k8ssec.clusters.kubeconfigs import as_kind_names, kubeconfig_of
from pytest_k8ssec.errors import CommandError
from pytest_k8ssec.machine import docker

KUBEADM = """
apiVersion: v1
kind: Config
clusters: [{name: dev, cluster: {certificate-authority-data: Q0E=, server: "https://dev-control-plane:6443"}}]
contexts: [{name: kubernetes-admin@dev, context: {cluster: dev, user: kubernetes-admin}}]
current-context: kubernetes-admin@dev
users: [{name: kubernetes-admin, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]
"""


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
        (["control-plane", "worker"], "0.0.0.0:34001\n[::]:34001\n", True),
        (["control-plane", "control-plane", "external-load-balancer"], "127.0.0.1:1\n", False),
        (["control-plane", "control-plane"], "127.0.0.1:1\n", False),
        (["worker"], "127.0.0.1:1\n", False),
        ([], "", False),
        (["control-plane"], "", False),
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
        return SimpleNamespace(text=ports if arguments[0] == "port" else KUBEADM)

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
