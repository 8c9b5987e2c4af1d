"""sup-pull-auth on a cluster that pulls every image anew: held there, and breached before and after.

The hardened cluster declares an exception, as what kind loads onto its nodes could not start there any more. What runs
already stays, so an API server that is started anew with the plugin, on a cluster that is up, shows all that is needed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.controls.sup.pull_auth import test_sup_pull_auth as control
from pytest_k8ssec.facts.node import arguments, control_planes
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.propagation import await_policies
from pytest_k8ssec.sabotages.node_config import API_SERVER_MANIFEST, await_leaders, rewritten, start_anew, until
from pytest_k8ssec.verdict import Judge, Verdict

_FLAG = "--enable-admission-plugins="
_PLUGIN = "AlwaysPullImages"


def test_held_only_where_every_image_is_pulled(cluster: KindCluster, pool: Pool) -> None:
    """Breached without the plugin, held with it, breached again without it."""
    own = Pool(cluster, f"pull-{secrets.token_hex(3)}", tuple)
    assert Verdict.BREACHED is _verdict(cluster, own)
    with _always_pulling(cluster):
        assert Verdict.HELD is _verdict(cluster, own)
    assert Verdict.BREACHED is _verdict(cluster, own)
    await_leaders(cluster)
    await_policies(pool)


def _verdict(cluster: KindCluster, pool: Pool) -> Verdict:
    judge = Judge(("server", "container", "policy"))
    control(judge, cluster, pool, {})
    return judge.verdict()[0]


@contextmanager
def _always_pulling(cluster: KindCluster) -> Iterator[None]:
    """Let the kubelet start the API server anew with the plugin, and after that as it was."""
    (node, *_) = control_planes(cluster)

    def runs(*, plugin: bool) -> None:
        start_anew(cluster, node, "kube-apiserver")

        def told() -> bool | None:
            named = _PLUGIN in arguments(cluster, node, "kube-apiserver").get("enable-admission-plugins", "")
            return True if named is plugin and cluster.api.request("GET", "/readyz").ok else None

        until(f"API server: did not come back {'with' if plugin else 'without'} {_PLUGIN}", told)

    try:
        with rewritten(cluster, node, API_SERVER_MANIFEST, lambda text: text.replace(_FLAG, f"{_FLAG}{_PLUGIN},")):
            runs(plugin=True)
            yield
    finally:
        runs(plugin=False)
