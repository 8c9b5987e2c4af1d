"""What a program does not declare is judged like what it declares: a Helm Release's objects, and what an operator makes."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.facts.containers import live_template
from pytest_k8ssec.machine import tools
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.sampling import EVERYTHING
from pytest_k8ssec.stack import Engine, Stack, StackSource, Workload, deploy
from pytest_k8ssec.verdict import Judge, Verdict

PROGRAM = Path(__file__).parent / "brought"
RELEASE, OPERATOR = "StatefulSet brought/broker (of a Helm Release)", "Deployment brought/made (of an operator)"


def _deployed(cluster: KindCluster, careful: str, passphrase: str) -> Stack:
    source = StackSource(PROGRAM, "brought", config={"image": cluster.probe_image, "careful": careful})
    found = tools.find_provider()
    engine = Engine(
        tools.find_tool("pulumi").path, found.path.parent if found else None, None, tools.language_host_dirs()
    )
    return deploy(source, engine, cluster, deadline=200, passphrase=passphrase)


def _judged(name: str, cluster: KindCluster, stack: Stack) -> Judge:
    def template_of(workload: Workload) -> Any:
        return live_template(cluster, workload)

    pool = Pool(cluster, f"came-{secrets.token_hex(3)}", lambda: stack.namespaces, template_of=template_of)
    try:
        judge, control = Judge(), next(each for each in packaged_controls() if each.id == name)
        given: dict[str, Any] = {
            "judge": judge, "cluster": cluster, "stack": stack, "pool": pool, "allowed": {}, "k8ssec_sampling": EVERYTHING,
        }  # fmt: skip
        control.function(**{each: given[each] for each in inspect.signature(control.function).parameters})
        return judge
    finally:
        pool.close()


def _gone(cluster: KindCluster) -> None:
    """Until it is: else it might be taken for what another stack has brought to the same cluster."""
    space = "/api/v1/namespaces/brought"
    cluster.api.delete(space)
    for pod in cluster.api.list(f"{space}/pods"):  # the chart's would take its half a minute
        cluster.api.delete(f"{space}/pods/{pod['metadata']['name']}", grace=0)
    gone = "namespace brought: is not gone"
    cluster.api.wait("/api/v1/namespaces", "brought", lambda found: found is None, deadline=90, what=gone)


def _breached(judge: Judge) -> set[str]:
    return {case.name.partition(", container")[0] for case in judge.cases if case.verdict()[0] is Verdict.BREACHED}


def test_mistakes_in_what_was_brought_are_found_and_corrected_ones_are_not(
    cluster: KindCluster, request: pytest.FixtureRequest, tell: Callable[[str], None]
) -> None:
    """First the chart and the operator leave security to others; then both say it, and the same controls hold."""
    passphrase = secrets.token_hex(8)
    stack = _deployed(cluster, "no", passphrase)
    request.addfinalizer(lambda: _gone(cluster))
    origins = {str(each): each.origin for each in stack.objects}
    tell(f"{len(stack.resources)} resources, and {len(stack.objects)} objects with what they brought")
    assert {"ReplicaSet", "Pod"} == {each.kind for each in stack.objects if each.origin == "of a controller"}
    assert origins["ServiceAccount brought/broker"] == "of a Helm Release"
    assert stack.footprint
    assert not stack.footprint.unlisted
    judge = _judged("wl-privilege", cluster, stack)
    verdict, why = judge.verdict()
    assert verdict is Verdict.BREACHED
    assert _breached(judge) == {RELEASE, OPERATOR}, why
    assert RELEASE in why
    assert OPERATOR in why

    stack = _deployed(cluster, "yes", passphrase)
    judge = _judged("wl-privilege", cluster, stack)
    verdict, why = judge.verdict()
    assert verdict is Verdict.HELD, why
    names = {case.name.partition(", container")[0] for case in judge.cases}
    assert names == {"Deployment brought/operator", RELEASE, OPERATOR}
