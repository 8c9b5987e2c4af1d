"""What a changed configuration makes of a frozen copy: patched as kind and kubeadm do it, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from pytest_k8ssec.clusters.frozen.variant import KUBEADM_FILE, KUBELET_FILE, CannotThaw, variant_of
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from tests.unit.clusters.frozen import put_entry
from tests.unit.machine.dockers import FakeDocker

KUBEADM = """
apiServer:
  certSANs: [localhost]
  extraArgs:
  - {name: authentication-config, value: /etc/authentication.yaml}
  - {name: tls-min-version, value: VersionTLS12}
etcd:
  local:
    extraArgs:
    - {name: listen-client-urls, value: "https://127.0.0.1:2379"}
kind: ClusterConfiguration
---
kind: InitConfiguration
localAPIEndpoint: {bindPort: 6443}
---
kind: KubeletConfiguration
readOnlyPort: 0
"""
KUBELET = """
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}}
kind: KubeletConfiguration
readOnlyPort: 0
"""


def files(
    fake_docker: FakeDocker, change: Callable[[KindConfig], None], kubeadm: str = KUBEADM
) -> Mapping[str, list[dict[str, Any]]]:
    """The documents that a node has instead, by file."""
    intact = KindConfig.load(PACKAGED)
    changed = intact.copy()
    change(changed)
    (node,) = put_entry(fake_docker, "0").nodes
    node = replace(node, kubelet=KUBELET, kubeadm=kubeadm)
    return {file: list(yaml.safe_load_all(text)) for file, text in variant_of(intact, changed).files(node).items()}


def arguments(component: Mapping[str, Any]) -> dict[str, str]:
    """Its arguments by name; each stands there once."""
    listed = [(each["name"], each["value"]) for each in component["extraArgs"]]
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def test_arguments_are_set_added_and_removed(fake_docker: FakeDocker) -> None:
    """The rest of kubeadm's configuration stays as it is."""

    def change(config: KindConfig) -> None:
        config.api_server(authentication_config=None, tls_min_version="VersionTLS10", profiling="true")
        config.etcd(listen_client_urls="https://0.0.0.0:2379")

    found = files(fake_docker, change)
    assert [KUBEADM_FILE] == list(found)
    cluster, *others = found[KUBEADM_FILE]
    assert {"tls-min-version": "VersionTLS10", "profiling": "true"} == arguments(cluster["apiServer"])
    assert ["localhost"] == cluster["apiServer"]["certSANs"]
    assert {"listen-client-urls": "https://0.0.0.0:2379"} == arguments(cluster["etcd"]["local"])
    assert list(yaml.safe_load_all(KUBEADM))[1:] == others


def test_arguments_of_older_versions_are_mapped_by_name(fake_docker: FakeDocker) -> None:
    """As kubeadm's v1beta3 has them, which kind writes for Kubernetes before 1.36."""
    older = "apiServer:\n  extraArgs: {profiling: 'false', tls-min-version: VersionTLS12}\nkind: ClusterConfiguration\n"
    found = files(fake_docker, lambda config: config.api_server(profiling=None, tls_min_version="VersionTLS10"), older)
    assert {"tls-min-version": "VersionTLS10"} == found[KUBEADM_FILE][0]["apiServer"]["extraArgs"]


def test_a_component_gets_its_first_argument(fake_docker: FakeDocker) -> None:
    """It says nothing of it before."""
    found = files(
        fake_docker,
        lambda config: config.patch(
            "ClusterConfiguration", {"controllerManager": {"extraArgs": {"bind-address": "::"}}}
        ),
    )
    assert {"bind-address": "::"} == arguments(found[KUBEADM_FILE][0]["controllerManager"])


def test_the_last_patch_wins(fake_docker: FakeDocker) -> None:
    """As with kind."""

    def change(config: KindConfig) -> None:
        config.kubelet(readOnlyPort=1)
        config.kubelet(readOnlyPort=2)

    assert 2 == files(fake_docker, change)[KUBELET_FILE][0]["readOnlyPort"]


def test_fields_of_kubelets_are_merged(fake_docker: FakeDocker) -> None:
    """In what the kubelet reads, and in what kubeadm would give to a node that joins."""
    found = files(fake_docker, lambda config: config.kubelet(authentication={"anonymous": {"enabled": True}}))
    (kubelet,) = found[KUBELET_FILE]
    assert {"anonymous": {"enabled": True}, "webhook": {"enabled": True}} == kubelet["authentication"]
    assert {"anonymous": {"enabled": True}} == found[KUBEADM_FILE][2]["authentication"]


def test_a_worker_has_no_configuration_of_kubeadm(fake_docker: FakeDocker) -> None:
    """Only its kubelet's is changed."""
    found = files(fake_docker, lambda config: config.kubelet(readOnlyPort=10255), kubeadm="")
    assert [KUBELET_FILE] == list(found)


@pytest.mark.parametrize(
    "change",
    [lambda config: config.replace("control-plane/audit.yaml", "kind: Policy"), lambda _: None],
    ids=["mounted file", "nothing"],
)
def test_what_is_mounted_needs_no_other_file(fake_docker: FakeDocker, change: Callable[[KindConfig], None]) -> None:
    """It is written for each run."""
    assert {} == files(fake_docker, change)


@pytest.mark.parametrize(
    "kubeadm",
    [
        "kind: [",
        "- a list",
        "apiServer: {}",
        "kind: ClusterConfiguration\napiServer: {extraArgs: [{value: x}]}",
        "text",
    ],
)
def test_what_kubeadm_did_not_write_can_not_be_patched(fake_docker: FakeDocker, kubeadm: str) -> None:
    """Another version of it may write something else: kind makes the cluster, and that is said in one line."""
    with pytest.raises(CannotThaw, match=r"^the configuration of 0-control-plane can't be patched: .+$") as told:
        files(fake_docker, lambda config: config.api_server(profiling="true"), kubeadm)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("patch", ["kind: [\n", "- a list\n", "text\n"])
def test_a_patch_that_can_not_be_read_can_not_be_made(patch: str) -> None:
    """kind tells what is wrong with it."""
    intact = KindConfig.load(PACKAGED)
    changed = intact.copy()
    changed.document["kubeadmConfigPatches"].append(patch)
    with pytest.raises(CannotThaw, match=r"^patches of kubeadm's configuration can't be read: .+$"):
        variant_of(intact, changed)


def drop_patches(config: KindConfig) -> None:
    """Take the last patch away."""
    config.document["kubeadmConfigPatches"].pop()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda config: config.plant("/etc/kubernetes/pki/ca.crt", "text"), "`nodes` of its kind configuration"),
        (lambda config: config.document.update(networking={"ipFamily": "ipv6"}), "`networking` of its kind"),
        (lambda config: config.patch("KubeProxyConfiguration", {"mode": "nftables"}), "its KubeProxyConfiguration"),
        (lambda config: config.patch("InitConfiguration", {"patches": {}}), "its InitConfiguration"),
        (lambda config: config.patch("ClusterConfiguration", {"networking": {}}), "`networking` of its Cluster"),
        (lambda config: config.after.append("remove-bootstrap-tokens"), "done after its creation"),
        (drop_patches, "patches of kubeadm's configuration differ"),
    ],
)
def test_what_a_copy_cannot_be_given_is_refused(
    fake_docker: FakeDocker, change: Callable[[KindConfig], None], why: str
) -> None:
    """By name."""
    with pytest.raises(CannotThaw, match=why):
        files(fake_docker, change)
