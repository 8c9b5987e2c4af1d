"""As whom pods are offered, and what they wear: each comes from a rule that is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.probes.guises import PLAIN, Guise, by_scopes, in_guises

Items = list[dict[str, Any]]

CONTROLLERS = 5
POD: dict[str, Any] = {"metadata": {"generateName": "x-"}, "spec": {"containers": []}}


class Rules:
    """A cluster with rules of admission, and on its one node an API server."""

    def __init__(self, flags: str = "", file: str = "", **rules: Items) -> None:
        self.api, self._rules, self._flags, self._file = self, rules, flags, file
        self.nodes = (Node("plane", "10.0.0.1", control_plane=True, container="plane"),)

    def list(self, path: str) -> Items:
        """The rules of a kind."""
        return self._rules.get(path.rpartition("/")[2], [])

    def request(self, _method: str, path: str, *, headers: dict[str, str], **_: Any) -> Response:
        """Of all that are asked about, members of one group may do everything; one account we may not be."""
        assert path.endswith("/selfsubjectaccessreviews")
        if headers["Impersonate-User"] == "system:serviceaccount:ci:deployer":
            return Response(403, {"kind": "Status", "status": "Failure", "message": "cannot impersonate"}, 1)
        return Response(201, {"status": {"allowed": headers.get("Impersonate-Group") == "system:masters"}}, 1)

    def on_node(self, _node: Node, command: Sequence[str], **_: Any) -> Completed:
        """The API server's process, its command line, or the file."""
        told = "7" if command[0] == "pgrep" else f"kube-apiserver\0{self._flags}\0"
        return Completed((), 0, (self._file if command[-1].endswith(".yaml") else told).encode(), b"")


def found(**rules: Any) -> list[Guise]:
    """The guises that are no controllers."""
    return list(in_guises(cast("Cluster", Rules(**rules))))[CONTROLLERS:]


def policy(expression: str) -> list[dict[str, Any]]:
    """A policy with a condition."""
    return [{"metadata": {"name": "p"}, "spec": {"matchConditions": [{"name": "c", "expression": expression}]}}]


def test_controllers_make_pods_on_every_cluster() -> None:
    """Also where no rule names anybody: an exemption stands in no object."""
    all_ = in_guises(cast("Cluster", Rules()))
    assert CONTROLLERS == len(all_)
    assert "system:serviceaccount:kube-system:replicaset-controller" in {each.user for each in all_}
    assert not any(each.named for each in all_)


@pytest.mark.parametrize(
    ("expression", "headers"),
    [
        ("request.userInfo.username != 'system:serviceaccount:ci:deployer'", {"Impersonate-User": "system:serviceaccount:ci:deployer"}),
        ('!request.userInfo.groups.exists(g, g == "system:nodes")', {"Impersonate-User": "k8ssec", "Impersonate-Group": "system:nodes"}),
        ('!request.userInfo.groups.exists(g, g == "system:masters")', None),
        ("!('system:serviceaccounts:ci' in request.userInfo.groups)", {"Impersonate-User": "system:serviceaccount:ci:default"}),
        ("request.userInfo.username == 'alice'", None),
    ],
)  # fmt: skip
def test_whom_a_condition_names_offers_pods_too(expression: str, headers: dict[str, str] | None) -> None:
    """A user as himself, a group by a member; administrators are spared on purpose, and could take the rule away."""
    assert [headers] * bool(headers) == [each.headers for each in found(validatingadmissionpolicies=policy(expression))]


def test_accounts_of_kube_system_are_a_controller() -> None:
    """Whose group is spared is spared by one that makes pods; it is asked for all, as a rule names it."""
    rules = policy("!('system:serviceaccounts:kube-system' in request.userInfo.groups)")
    all_ = in_guises(cast("Cluster", Rules(validatingadmissionpolicies=rules)))
    assert CONTROLLERS == len(all_)
    assert [True] == [each.named for each in all_ if each.user.endswith(":replicaset-controller")]


@pytest.mark.parametrize(
    ("expression", "worn"),
    [
        ("!('skip' in object.metadata.labels)", {"labels": {"skip": "true"}}),
        ("object.metadata.labels['tier'] != 'system'", {"labels": {"tier": "system"}}),
        ("object.metadata.?labels[?'tier'].orValue('') != 'system'", {"labels": {"tier": "system"}}),
        ("!has(object.metadata.annotations) || !('x.io/skip' in object.metadata.annotations)", {"annotations": {"x.io/skip": "true"}}),
    ],
)  # fmt: skip
def test_what_a_condition_looks_for_is_worn(expression: str, worn: dict[str, dict[str, str]]) -> None:
    """By the value that it names, or by any where it names none."""
    (guise,) = found(validatingadmissionpolicies=policy(expression))
    assert worn == guise.meta
    pod = guise.wear(POD)
    assert all(pod["metadata"][kind] == values for kind, values in worn.items())
    assert {"generateName": "x-"} == POD["metadata"]


@pytest.mark.parametrize("kind", ["policy", "binding", "webhook"])
def test_what_a_selector_leaves_out_is_worn(kind: str) -> None:
    """What it asks for is not: a plain pod has that not either."""
    selector = {
        "objectSelector": {
            "matchLabels": {"checked": "yes"},
            "matchExpressions": [
                {"key": "env", "operator": "NotIn", "values": ["dev", "test"]},
                {"key": "skip", "operator": "DoesNotExist"},
                {"key": "team", "operator": "Exists"},
            ],
        }
    }
    kinds: dict[str, dict[str, list[dict[str, Any]]]] = {
        "policy": {"validatingadmissionpolicies": [{"spec": {"matchConstraints": selector}}]},
        "binding": {"validatingadmissionpolicybindings": [{"spec": {"matchResources": selector}}]},
        "webhook": {"validatingwebhookconfigurations": [{"webhooks": [selector]}]},
    }
    expected = [{"labels": each} for each in ({"env": "dev"}, {"env": "test"}, {"skip": "true"})]
    assert expected == [each.meta for each in found(**kinds[kind])]


def test_who_is_exempt_from_pod_security_stands_in_a_file() -> None:
    """Of users and runtime classes; without the file nobody is."""
    file = """
plugins:
  - name: PodSecurity
    configuration: {exemptions: {usernames: [alice], runtimeClasses: [sandbox], namespaces: [kube-system]}}
"""
    flags = "--admission-control-config-file=/etc/a.yaml"
    users, spec = [[getattr(each, what) for each in found(flags=flags, file=file)] for what in ("user", "spec")]
    assert ["alice", ""] == users
    assert [{}, {"runtimeClassName": "sandbox"}] == spec
    assert [] == found(file=file)
    assert ["of runtime class kata"] == [each.name for each in found(runtimeclasses=[{"metadata": {"name": "kata"}}])]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"hard": {"limits.cpu": "1"}}, []),
        ({"scopes": ["NotTerminating"]}, [{"activeDeadlineSeconds": 3600}]),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            [{"activeDeadlineSeconds": 3600}, {"priorityClassName": "high"}],
        ),
    ],
)
def test_a_quota_of_some_pods_leaves_others_out(spec: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    """One without scopes is for all."""
    assert expected == [each.spec for each in by_scopes([{"spec": spec}])]


def test_a_plain_pod_is_offered_as_it_is() -> None:
    """By nobody in particular, and without a word about it."""
    assert (POD, "", "") == (PLAIN.wear(POD), PLAIN.user, str(PLAIN))
