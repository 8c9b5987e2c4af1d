"""Each right that rbac-escalation looks for, granted alone: it must be noticed, and nothing else with it."""

from __future__ import annotations

import pytest

from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.controls.rbac.escalation import test_rbac_escalation as control
from pytest_k8ssec.probes.escalation import WayUp, in_cluster, in_namespace
from pytest_k8ssec.probes.rights_table import further_ways
from pytest_k8ssec.reach.sampling import EVERYTHING
from pytest_k8ssec.sabotages.grants import granted
from pytest_k8ssec.stack import ServiceAccount, Stack
from pytest_k8ssec.verdict import Judge, Verdict

_SOMEBODY = ServiceAccount("somewhere", "default")


def _steps(account: ServiceAccount, image: str) -> dict[str, tuple[WayUp, str]]:
    """Each way up by its words, and the namespace that the right for it is granted in."""
    inside = in_namespace(account, account.namespace, image)
    return {step.words: (step, account.namespace) for step in inside} | {
        step.words: (step, "") for step in in_cluster()
    }


def _all_but(account: ServiceAccount, stack: Stack) -> dict[str, str]:
    """Declare all other accounts: they would only take time."""
    return {str(each): "not now" for each in stack.service_accounts if each != account}


@pytest.mark.parametrize("words", _steps(_SOMEBODY, "image"))
def test_one_right_is_noticed(cluster: KindCluster, stack: Stack, words: str) -> None:
    """Whoever has the rights for one way up gets through by that one, and by those that ask for no more."""
    account = next(each for each in stack.service_accounts if each.name == "default")
    steps = _steps(account, cluster.probe_image)
    step, namespace = steps[words]
    judge = Judge()
    with granted(cluster, account, *step.rules, namespace=namespace):
        control(judge, cluster, stack, _all_but(account, stack), EVERYTHING)
    verdict, reason = judge.verdict()
    assert Verdict.BREACHED is verdict, reason
    through = {attack.what for attack in judge.attacks if attack.got_through}
    where = f"in {namespace}" if namespace else "in the cluster"
    enough = {
        name
        for name, (other, place) in steps.items()
        if place == namespace and all(r in step.rules for r in other.rules)
    }
    assert {f"{name}, {where}" for name in enough} == through


def _has_a_name(step: WayUp) -> bool:
    """Whether the right can be granted on one object by its name: what is yet to be created has none."""
    creates = step.method == "POST" and "/" not in step.right[1] and step.right[0] == "create"
    return len(step.rules) == 1 and not creates


@pytest.mark.parametrize(
    "words", [words for words, (step, _) in _steps(_SOMEBODY, "image").items() if _has_a_name(step)]
)
def test_right_by_name_is_noticed(cluster: KindCluster, stack: Stack, words: str) -> None:
    """A right on one object, granted by its name, is noticed where a made-up name is refused."""
    account = next(each for each in stack.service_accounts if each.name == "default")
    step, namespace = _steps(account, cluster.probe_image)[words]
    judge = Judge()
    with granted(cluster, account, {**step.rules[0], "resourceNames": ["only-this"]}, namespace=namespace):
        control(judge, cluster, stack, _all_but(account, stack), EVERYTHING)
    verdict, reason = judge.verdict()
    assert Verdict.BREACHED is verdict, reason
    assert "only-this by name" in reason


@pytest.mark.parametrize("namespace", ["its own", "kube-system", ""], ids=["own", "kube-system", "cluster"])
def test_the_table_of_further_rights_is_noticed(cluster: KindCluster, stack: Stack, namespace: str) -> None:
    """Whoever has all rights of the table in one place gets through by each row, as an API server understands it."""
    account = next(each for each in stack.service_accounts if each.name == "default")
    place = account.namespace if namespace == "its own" else namespace
    ways, judge = further_ways(place), Judge()
    with granted(cluster, account, *(each for way in ways for each in way.rules), namespace=place):
        control(judge, cluster, stack, _all_but(account, stack), EVERYTHING)
    verdict, reason = judge.verdict()
    assert Verdict.BREACHED is verdict, reason
    through = {attack.what for attack in judge.attacks if attack.got_through}
    where = f"in {place}" if place else "in the cluster"
    assert {f"{way.words}, {where}" for way in ways} <= through
    assert not [each for each in judge.positives if not each.succeeded]
