"""What the controls tell users to paste: each parses, none contradicts another, and the hardened cluster is made of them.

That API servers take the objects, and that a cluster made from the rest alone holds, is shown in
tests/cluster/test_remediation.py.
"""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.after import STEPS
from pytest_k8ssec.clusters.kindconfig import PACKAGED, KindConfig
from pytest_k8ssec.probes.escalation import WayUp, in_cluster, in_namespace
from pytest_k8ssec.stack import ServiceAccount
from tests import snippets
from tests.snippets import Document

CONTROLS = packaged_controls()
FILES = PACKAGED.parent / "control-plane"
BY_ITSELF: dict[str, Any] = {
    "ClusterConfiguration": {
        "apiServer": {"extraArgs": {"authorization-mode": "Node,RBAC", "service-account-lookup": "true"}},
        "controllerManager": {"extraArgs": {"bind-address": "127.0.0.1"}},
        "scheduler": {"extraArgs": {"bind-address": "127.0.0.1"}},
        "etcd": {
            "local": {
                "extraArgs": {
                    "client-cert-auth": "true",
                    "trusted-ca-file": "/etc/kubernetes/pki/etcd/ca.crt",
                    "peer-client-cert-auth": "true",
                    "peer-trusted-ca-file": "/etc/kubernetes/pki/etcd/ca.crt",
                    "listen-metrics-urls": "http://127.0.0.1:2381",
                }
            }
        },
    },
    "KubeletConfiguration": {
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "healthzBindAddress": "127.0.0.1",
        "tlsMinVersion": "VersionTLS12",
    },
    "KubeProxyConfiguration": {"metricsBindAddress": "127.0.0.1:10249"},
}
"""What Kubernetes and kubeadm do where nobody says otherwise; what the packaged configuration leaves as it is."""

each_control = pytest.mark.parametrize("one", CONTROLS, ids=[each.id for each in CONTROLS])


def _id(one: Document) -> str:
    return f"{one.control}-{one.body.get('kind', one.file)}"


@each_control
def test_a_control_has_something_to_paste(one: Control) -> None:
    """A snippet in a language that is checked here, which no other text of the control repeats."""
    assert one.snippets
    prose = f"{one.why}\n{one.remediation}\n{one.sources}"
    for snippet in one.snippets:
        assert snippet.language in ("yaml", "python", "sh")
        assert snippet.text == snippet.text.strip()
        assert snippet.text not in prose
    assert "```" not in prose


@pytest.mark.parametrize("one", snippets.all_documents(), ids=_id)
def test_a_document_is_an_object_or_says_which_file_it_belongs_into(one: Document) -> None:
    """An object has a version, a kind and a name; a file of the kind configuration has its own keys."""
    if one.file == snippets.KIND:
        assert set(one.body) <= {"nodes", "networking", "kubeadmConfigPatches"}
        for patch in one.body.get("kubeadmConfigPatches", []):
            assert yaml.safe_load(patch)["kind"] in BY_ITSELF
    elif one.file == snippets.AFTER:
        assert set(one.body) == {"steps"}
        assert set(one.body["steps"]) <= set(STEPS)
    else:
        assert one.body["apiVersion"]
        assert one.body["kind"]
        assert bool(one.file) != ("metadata" in one.body)


@each_control
def test_what_is_mounted_is_there_to_be_pasted(one: Control) -> None:
    """Each file that a snippet mounts into the control plane is part of it, and is what an argument names."""
    found = list(snippets.documents(one))
    for part in found:
        for node in part.body.get("nodes", []) if part.file == snippets.KIND else []:
            for mount in node["extraMounts"]:
                assert mount["hostPath"] in {each.file for each in found}
                assert mount["containerPath"] in str(part.body["kubeadmConfigPatches"])


def test_what_snippets_say_the_hardened_cluster_does() -> None:
    """That cluster is seen to hold; no two snippets contradict each other."""
    parts = [each for each in snippets.for_a_cluster() if each.file == snippets.KIND]
    wanted = _by_kind(snippets.kind_configuration(parts)["kubeadmConfigPatches"])
    hardened = _by_kind(KindConfig.load(PACKAGED).document["kubeadmConfigPatches"])
    for kind, more in BY_ITSELF.items():
        snippets.merge(hardened.setdefault(kind, {"kind": kind}), more, "kubeadm")
    assert {"ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration"} == set(wanted)
    for kind, body in wanted.items():
        for key, value in body.items():
            assert snippets.contained(value, hardened[kind][key]), f"{kind} {key}"


@pytest.mark.parametrize(
    "one",
    [each for each in snippets.for_a_cluster() if each.file not in (snippets.KIND, snippets.AFTER)],
    ids=_id,
)
def test_files_say_what_those_of_the_hardened_cluster_say(one: Document) -> None:
    """Nothing that they ask for is missing there."""
    assert snippets.contained(one.body, yaml.safe_load((FILES / one.file).read_text()))


def _by_kind(patches: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for patch in patches:
        body = yaml.safe_load(patch)
        snippets.merge(found.setdefault(body["kind"], {}), body, "packaged")
    return found


@pytest.mark.parametrize(
    ("small", "big", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": False}, {"a": 0}, False),
        ([{"a": 1}], [{"b": 2}, {"a": 1, "c": 3}], True),
        ([{"a": 1}], [{"b": 2}], False),
        ("B,A", "A,C,B", True),
        ("A,D", "A,B", False),
        ("/x/audit.yaml", "/y/audit.yaml", True),
        ("/x/audit.yaml", "/x/policy.yaml", False),
        ({"a": {}}, {"a": []}, False),
    ],
)
def test_what_contains_what(small: Any, big: Any, expected: bool) -> None:
    """The comparison of these tests can fail."""
    assert expected is snippets.contained(small, big)


def test_a_contradiction_is_noticed() -> None:
    """Two snippets that want different things of one argument can't both be pasted."""
    parts = [
        Document(
            name, snippets.KIND, {"kubeadmConfigPatches": [f"kind: KubeletConfiguration\nreadOnlyPort: {port}"]}, ""
        )
        for name, port in (("a", 0), ("b", 10255))
    ]
    with pytest.raises(AssertionError, match="b: readOnlyPort is 10255, and 0 in another snippet"):
        snippets.kind_configuration(parts)


def _rights() -> list[WayUp]:
    somebody = ServiceAccount("shop", "somebody")
    return [*in_namespace(somebody, "shop", "image"), *in_cluster()]


@pytest.mark.parametrize("one", [each for each in snippets.manifests() if "rules" in each.body], ids=_id)
def test_no_role_grants_what_controls_look_for(one: Document) -> None:
    """No wildcard, no Secrets, no kubelet, and none of the ways to further rights."""
    granted = {
        (verb, resource, group)
        for rule in one.body["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
    }
    assert not {part for right in granted for part in right} & {"*", "secrets", "nodes/proxy"}
    assert not granted & {step.right for step in _rights()}
    assert granted


@pytest.mark.parametrize("one", [each for each in snippets.manifests() if "subjects" in each.body], ids=_id)
def test_a_binding_binds_the_role_beside_it(one: Document) -> None:
    """A name that is mistyped would grant nothing, and nobody would notice."""
    beside = {
        (each.body["kind"], each.body["metadata"]["name"])
        for each in snippets.manifests()
        if each.control == one.control
    }
    assert (one.body["roleRef"]["kind"], one.body["roleRef"]["name"]) in beside


@pytest.mark.parametrize("control", snippets.texts("python"))
def test_a_program_declares_objects(control: str) -> None:
    """It is a Pulumi program as it stands."""
    assert ast.parse(snippets.texts("python")[control])
    assert all(one["apiVersion"] and one["kind"] and one["metadata"]["name"] for one in snippets.declared(control))


def test_the_program_keeps_its_secret_in_a_secret() -> None:
    """The value is marked as secret on its way into the Secret, and stands nowhere else."""
    declared = {one["kind"]: one for one in snippets.declared("secrets-canary-leak")}
    secret, pod = declared["Secret"], declared["Pod"]
    assert "made-up" in json.dumps(secret)
    assert snippets.SECRET in json.dumps(secret)
    assert "made-up" not in json.dumps(pod)
    assert secret["metadata"]["name"] == pod["spec"]["volumes"][0]["secret"]["secretName"]


@pytest.mark.parametrize("control", snippets.texts("sh"))
def test_commands_are_a_shell_s(control: str, tmp_path: Path) -> None:
    """The shell reads them to their end; it runs nothing."""
    script = tmp_path / "snippet.sh"
    script.write_text(snippets.texts("sh")[control])
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=60)
