"""sup-pull-auth on a cluster that pulls every image anew: held there, and breached before and after.

The hardened cluster declares an exception, as what kind loads onto its nodes could not start there any more. What runs
already stays, so an API server that is started anew with the plugin, on a cluster that is up, shows all that is needed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.controls.sup.pull_auth import test_sup_pull_auth as control
from pytest_k8ssec.errors import K8ssecError, ProbeError
from pytest_k8ssec.probes.nodefacts import arguments, control_planes
from pytest_k8ssec.probes.pool import Pool
from pytest_k8ssec.reach.propagation import propagation
from pytest_k8ssec.verdict import Judge, Verdict

_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_FLAG = "--enable-admission-plugins="
_PLUGIN = "AlwaysPullImages"
_SECONDS = 120
_NEVER = "1970-01-01T00:00:00Z"


def test_held_only_where_every_image_is_pulled(cluster: KindCluster, pool: Pool) -> None:
    """Breached without the plugin, held with it, breached again without it."""
    own = Pool(cluster, f"pull-{secrets.token_hex(3)}", tuple)
    assert Verdict.BREACHED is _verdict(cluster, own)
    with _always_pulling(cluster):
        assert Verdict.HELD is _verdict(cluster, own)
    assert Verdict.BREACHED is _verdict(cluster, own)
    _await_leaders(cluster)
    _await_policies(pool)


def _verdict(cluster: KindCluster, pool: Pool) -> Verdict:
    judge = Judge()
    control(judge, cluster, pool, {})
    return judge.verdict()[0]


@contextmanager
def _always_pulling(cluster: KindCluster) -> Iterator[None]:
    """Let the kubelet start the API server anew with the plugin, and after that as it was."""
    (node, *_) = control_planes(cluster)
    before = cluster.on_node(node, ["cat", _MANIFEST]).stdout
    changed = before.replace(_FLAG.encode(), f"{_FLAG}{_PLUGIN},".encode())
    assert before != changed
    try:
        cluster.on_node(node, ["tee", _MANIFEST], stdin=changed)
        _await(cluster, plugin=True)
        yield
    finally:
        cluster.on_node(node, ["tee", _MANIFEST], stdin=before)
        _await(cluster, plugin=False)


def _await(cluster: KindCluster, *, plugin: bool) -> None:
    """Until an API server is ready that runs with the plugin, or without it."""
    (node, *_) = control_planes(cluster)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        try:
            running = arguments(cluster, node, "kube-apiserver")["enable-admission-plugins"]
            if (_PLUGIN in running) is plugin and cluster.api.request("GET", "/readyz").status == 200:
                return
        except K8ssecError:
            pass  # between two API servers
        time.sleep(0.5)
    raise AssertionError(f"API server: did not come back {'with' if plugin else 'without'} {_PLUGIN}")


def _await_leaders(cluster: KindCluster) -> None:
    """Until scheduler and controllers, which lost their leases meanwhile, work again: later tests need them."""
    since = datetime.now(UTC)
    for name in ("kube-scheduler", "kube-controller-manager"):
        cluster.api.wait(
            "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
            name,
            lambda lease: datetime.fromisoformat((lease or {"spec": {}})["spec"].get("renewTime") or _NEVER) > since,
            deadline=_SECONDS,
            what=f"{name}: has not taken its lease again",
        )


def _await_policies(pool: Pool) -> None:
    """Until the network plugin follows policies again: it asks the API server anew at longer and longer intervals."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            propagation(pool, rounds=1)
        except ProbeError:
            if time.monotonic() > end:
                raise
        else:
            return
